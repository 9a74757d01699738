"""Uses a server as the Vault client hvac does. Each step prints its name; what is not as it should be ends it."""

import base64
import os
import sys

import hvac
from hvac import exceptions


def text(value):
    return base64.b64encode(value.encode()).decode()


def refused(error, call, *arguments, **named):
    try:
        answer = call(*arguments, **named)
    except error:
        return
    raise AssertionError(f"{call.__name__} was not refused: {answer}")


def step(function):
    STEPS.append(function)
    return function


STEPS = []


@step
def who_am_i(client):
    assert client.is_authenticated()
    assert client.sys.is_initialized() and not client.sys.is_sealed()
    assert client.sys.read_health_status(method="GET")["initialized"]
    me = client.auth.token.lookup_self()["data"]
    assert "root" in me["policies"], me


@step
def transit(client):
    transit = client.secrets.transit
    transit.create_key(name="orders")
    assert "orders" in transit.list_keys()["data"]["keys"]
    sealed = transit.encrypt_data(name="orders", plaintext=text("42 widgets"))["data"]["ciphertext"]
    assert sealed.startswith("vault:v1:"), sealed
    opened = transit.decrypt_data(name="orders", ciphertext=sealed)["data"]["plaintext"]
    assert base64.b64decode(opened) == b"42 widgets"
    transit.rotate_key(name="orders")
    rewrapped = transit.rewrap_data(name="orders", ciphertext=sealed)["data"]["ciphertext"]
    assert rewrapped.startswith("vault:v2:"), rewrapped
    assert transit.read_key(name="orders")["data"]["latest_version"] == 2

    batch = [{"plaintext": text(f"row {number}")} for number in range(100)]
    results = transit.encrypt_data(name="orders", plaintext="", batch_input=batch)["data"]["batch_results"]
    assert len(results) == 100
    asked = [{"ciphertext": result["ciphertext"]} for result in results]
    opened = transit.decrypt_data(name="orders", ciphertext="", batch_input=asked)["data"]["batch_results"]
    assert [base64.b64decode(one["plaintext"]).decode() for one in opened] == [f"row {n}" for n in range(100)]
    results = transit.rewrap_data(name="orders", ciphertext="", batch_input=asked)["data"]["batch_results"]
    assert all(one["ciphertext"].startswith("vault:v2:") for one in results)

    # hvac wants the one above the other.
    transit.rotate_key(name="orders")
    transit.update_key_configuration(name="orders", min_decryption_version=2, min_encryption_version=3)
    refused(exceptions.InvalidRequest, transit.decrypt_data, name="orders", ciphertext=sealed)
    transit.trim_key(name="orders", min_version=2)
    transit.update_key_configuration(name="orders", deletion_allowed=True)
    transit.delete_key(name="orders")
    refused(exceptions.InvalidPath, transit.read_key, name="orders")


@step
def transit_context(client):
    transit = client.secrets.transit
    transit.create_key(name="derived", derived=True)
    context = text("tenant 7")
    sealed = transit.encrypt_data(name="derived", plaintext=text("x"), context=context)["data"]["ciphertext"]
    opened = transit.decrypt_data(name="derived", ciphertext=sealed, context=context)["data"]["plaintext"]
    assert opened == text("x")
    refused(exceptions.InvalidRequest, transit.decrypt_data, name="derived", ciphertext=sealed, context=text("other"))


@step
def transit_signatures(client):
    transit = client.secrets.transit
    for kind in ["ed25519", "ecdsa-p256"]:
        transit.create_key(name=kind, key_type=kind)
        signed = transit.sign_data(name=kind, hash_input=text("message"))["data"]["signature"]
        verified = transit.verify_signed_data(name=kind, hash_input=text("message"), signature=signed)
        assert verified["data"]["valid"], kind
        verified = transit.verify_signed_data(name=kind, hash_input=text("other"), signature=signed)
        assert not verified["data"]["valid"], kind
    # Keys authenticate or do something else: docs/transit.md says why.
    client.write_data("transit/keys/mac", data={"type": "hmac"})
    tag = transit.generate_hmac(name="mac", hash_input=text("message"))["data"]["hmac"]
    verified = transit.verify_signed_data(name="mac", hash_input=text("message"), hmac=tag)
    assert verified["data"]["valid"]


@step
def transit_material(client):
    transit = client.secrets.transit
    transit.create_key(name="wraps")
    made = transit.generate_data_key(name="wraps", key_type="plaintext")["data"]
    opened = transit.decrypt_data(name="wraps", ciphertext=made["ciphertext"])["data"]["plaintext"]
    assert opened == made["plaintext"]
    assert len(base64.b64decode(transit.generate_random_bytes(n_bytes=32)["data"]["random_bytes"])) == 32
    digest = transit.hash_data(hash_input=text("x"), algorithm="sha2-256")["data"]["sum"]
    assert digest == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", digest

    transit.create_key(name="copied", exportable=True, allow_plaintext_backup=True)
    sealed = transit.encrypt_data(name="copied", plaintext=text("kept"))["data"]["ciphertext"]
    keys = transit.export_key(name="copied", key_type="encryption-key")["data"]["keys"]
    assert len(base64.b64decode(keys["1"])) == 32
    backup = transit.backup_key(name="copied")["data"]["backup"]
    transit.update_key_configuration(name="copied", deletion_allowed=True)
    transit.delete_key(name="copied")
    transit.restore_key(backup=backup, name="copied")
    assert transit.decrypt_data(name="copied", ciphertext=sealed)["data"]["plaintext"] == text("kept")


@step
def secrets(client):
    kv = client.secrets.kv.v2
    made = kv.create_or_update_secret(path="team/app", secret={"user": "ann", "pass": "one"}, cas=0)
    assert made["data"]["version"] == 1
    refused(exceptions.InvalidRequest, kv.create_or_update_secret, path="team/app", secret={"a": "b"}, cas=0)
    kv.create_or_update_secret(path="team/app", secret={"user": "ann", "pass": "two"}, cas=1)
    kv.patch(path="team/app", secret={"pass": "three"})
    read = kv.read_secret_version(path="team/app", raise_on_deleted_version=True)["data"]
    assert read["data"] == {"user": "ann", "pass": "three"} and read["metadata"]["version"] == 3
    old = kv.read_secret_version(path="team/app", version=1, raise_on_deleted_version=True)["data"]["data"]
    assert old == {"user": "ann", "pass": "one"}
    assert kv.list_secrets(path="team")["data"]["keys"] == ["app"]

    kv.delete_secret_versions(path="team/app", versions=[3])
    refused(exceptions.InvalidPath, kv.read_secret_version, path="team/app", raise_on_deleted_version=True)
    kv.undelete_secret_versions(path="team/app", versions=[3])
    kv.destroy_secret_versions(path="team/app", versions=[1])
    metadata = kv.read_secret_metadata(path="team/app")["data"]
    assert metadata["versions"]["1"]["destroyed"] and not metadata["versions"]["3"]["destroyed"]
    kv.update_metadata(path="team/app", max_versions=5, cas_required=True, custom_metadata={"owner": "ann"})
    assert kv.read_secret_metadata(path="team/app")["data"]["custom_metadata"] == {"owner": "ann"}
    kv.configure(max_versions=7, mount_point="secret")
    assert kv.read_configuration(mount_point="secret")["data"]["max_versions"] == 7
    kv.delete_metadata_and_all_versions(path="team/app")
    refused(exceptions.InvalidPath, kv.read_secret_metadata, path="team/app")


@step
def secrets_without_versions(client):
    client.sys.enable_secrets_engine("kv", path="plain", options={"version": "1"})
    kv = client.secrets.kv.v1
    kv.create_or_update_secret(path="a/b", secret={"x": "1"}, mount_point="plain")
    assert kv.read_secret(path="a/b", mount_point="plain")["data"] == {"x": "1"}
    assert kv.list_secrets(path="a", mount_point="plain")["data"]["keys"] == ["b"]
    kv.delete_secret(path="a/b", mount_point="plain")
    refused(exceptions.InvalidPath, kv.read_secret, path="a/b", mount_point="plain")
    assert "plain/" in client.sys.list_mounted_secrets_engines()["data"]
    client.sys.disable_secrets_engine(path="plain")


@step
def policies(client):
    client.sys.create_or_update_policy(
        name="reader",
        policy='path "secret/data/shared/*" { capabilities = ["read"] }\n'
        'path "secret/data/shared/locked" { capabilities = ["deny"] }',
    )
    assert "reader" in client.sys.list_policies()["data"]["policies"]
    assert "shared" in client.sys.read_policy(name="reader")["data"]["rules"]
    kv = client.secrets.kv.v2
    for name in ["shared/open", "shared/locked", "other"]:
        kv.create_or_update_secret(path=name, secret={"a": "b"})
    made = client.auth.token.create(policies=["reader"], ttl="1h", renewable=True)["auth"]
    reader = hvac.Client(url=client.url, token=made["client_token"])
    assert reader.is_authenticated()
    read = reader.secrets.kv.v2.read_secret_version(path="shared/open", raise_on_deleted_version=True)
    assert read["data"]["data"] == {"a": "b"}
    for name in ["shared/locked", "other"]:
        refused(exceptions.Forbidden, reader.secrets.kv.v2.read_secret_version, path=name,
                raise_on_deleted_version=True)
    refused(exceptions.Forbidden, reader.secrets.kv.v2.create_or_update_secret, path="shared/open", secret={"a": "c"})
    refused(exceptions.Forbidden, reader.sys.list_policies)
    can = reader.sys.get_capabilities(paths=["secret/data/shared/open", "secret/data/other"])
    assert can["data"]["secret/data/shared/open"] == ["read"] and can["data"]["secret/data/other"] == ["deny"], can

    renewed = reader.auth.token.renew_self(increment="2h")["auth"]
    assert renewed["lease_duration"] > 3600
    client.auth.token.revoke_accessor(made["accessor"])
    refused(exceptions.Forbidden, reader.secrets.kv.v2.read_secret_version, path="shared/open",
            raise_on_deleted_version=True)


@step
def tokens(client):
    parent = client.auth.token.create(policies=["default"], ttl="1h")["auth"]
    mother = hvac.Client(url=client.url, token=parent["client_token"])
    refused(exceptions.Forbidden, mother.auth.token.create, policies=["root"])
    assert client.auth.token.lookup(parent["client_token"])["data"]["accessor"] == parent["accessor"]
    assert parent["accessor"] in client.auth.token.list_accessors()["data"]["keys"]
    once = client.auth.token.create(policies=["default"], num_uses=1)["auth"]
    single = hvac.Client(url=client.url, token=once["client_token"])
    assert single.auth.token.lookup_self()["data"]["accessor"] == once["accessor"]
    refused(exceptions.Forbidden, single.auth.token.lookup_self)
    mother.auth.token.revoke_self()
    refused(exceptions.Forbidden, mother.auth.token.lookup_self)


@step
def approle(client):
    client.sys.create_or_update_policy(name="app", policy='path "secret/data/app" { capabilities = ["read"] }')
    client.secrets.kv.v2.create_or_update_secret(path="app", secret={"k": "v"})
    client.auth.approle.create_or_update_approle(
        role_name="app", token_policies=["app"], token_ttl="10m", secret_id_num_uses=2, secret_id_ttl="1h"
    )
    role = client.auth.approle.read_role_id(role_name="app")["data"]["role_id"]
    secret = client.auth.approle.generate_secret_id(role_name="app")["data"]["secret_id"]
    program = hvac.Client(url=client.url)
    answer = program.auth.approle.login(role_id=role, secret_id=secret)
    assert "app" in answer["auth"]["policies"]
    read = program.secrets.kv.v2.read_secret_version(path="app", raise_on_deleted_version=True)
    assert read["data"]["data"] == {"k": "v"}
    program.auth.approle.login(role_id=role, secret_id=secret)
    refused((exceptions.InvalidRequest, exceptions.Forbidden), program.auth.approle.login, role_id=role, secret_id=secret)
    assert "app" in client.auth.approle.list_roles()["data"]["keys"]


def main():
    client = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"])
    for function in STEPS:
        function(client)
        print(function.__name__, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
