"""Unwraps a data key with Tink and wraps it again: JSON from stdin to stdout, all bytes in hex."""

import json
import sys

from tink import hybrid, proto_keyset_format, secret_key_access
from tink.proto import hpke_pb2, tink_pb2

TYPE_URL = "type.googleapis.com/google.crypto.tink.HpkePrivateKey"


def private_keyset(private, public):
    params = hpke_pb2.HpkeParams(
        kem=hpke_pb2.X_WING, kdf=hpke_pb2.HKDF_SHA256, aead=hpke_pb2.AES_256_GCM
    )
    key = hpke_pb2.HpkePrivateKey(
        public_key=hpke_pb2.HpkePublicKey(params=params, public_key=public), private_key=private
    )
    data = tink_pb2.KeyData(
        type_url=TYPE_URL,
        value=key.SerializeToString(),
        key_material_type=tink_pb2.KeyData.ASYMMETRIC_PRIVATE,
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_data=data, key_id=1, status=tink_pb2.ENABLED, output_prefix_type=tink_pb2.RAW
    )
    return proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)


def main():
    hybrid.register()
    request = {name: bytes.fromhex(value) for name, value in json.load(sys.stdin).items()}
    keyset = private_keyset(request["private"], request["public"])
    dek = keyset.primitive(hybrid.HybridDecrypt).decrypt(request["wrapped"], request["info"])
    encrypt = keyset.public_keyset_handle().primitive(hybrid.HybridEncrypt)
    wrapped = encrypt.encrypt(dek, request["info"])
    json.dump({"dek": dek.hex(), "wrapped": wrapped.hex()}, sys.stdout)


main()
