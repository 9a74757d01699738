#!/usr/bin/env python3
"""Checks what is in this folder: that it is well formed, and that none of what makes it safe has gone.

    python3 -m venv target/deploy-venv
    target/deploy-venv/bin/pip install -r deploy/requirements.txt
    target/deploy-venv/bin/python deploy/check.py               # what can be checked with the tools that are there
    target/deploy-venv/bin/python deploy/check.py --strict      # a tool that is missing is a failure, too
    target/deploy-venv/bin/python deploy/check.py --self-test   # takes one safeguard away at a time: each must be missed

It needs no network. Tools: `kubectl` renders the manifests, Helm the chart (the library, or a `helm` on the path), `hadolint` reads the
Dockerfile and `systemd-analyze` the unit.
"""

import argparse
import copy
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

HERE = Path(__file__).resolve().parent
CHART = HERE / "helm" / "bulla"
VERSIONS = ["1.33", "1.37"]  # of Kubernetes: the oldest and the newest that the schemas are of
WORKLOADS = {"StatefulSet", "Deployment", "DaemonSet", "Job", "ReplicaSet"}
PORT = 8200
# Of systemd-analyze's exposure, in tenths: 13 is 1.3.
MOST_EXPOSED = 13


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which the last would win in silence."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def parse(text):
    return [document for document in yaml.load_all(text, Loader) if document]


def name(document):
    return f"{document['kind']} {document['metadata']['name']}"


def pod_of(document):
    if document["kind"] == "Pod":
        return document["spec"]
    if document["kind"] == "CronJob":
        return document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return document["spec"]["template"]["spec"] if document["kind"] in WORKLOADS else None


# What has to hold. Each function yields what does not.


def schema_faults(document):
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"is not of Kubernetes {version}: {error.message}"


def pod_faults(pod):
    security = pod.get("securityContext", {})
    if pod.get("automountServiceAccountToken") is not False:
        yield "mounts a token of its service account"
    if pod.get("serviceAccountName", "default") == "default":
        yield "runs under the default service account"
    if pod.get("enableServiceLinks") is not False:
        yield "is given variables about other services"
    for shared in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        if pod.get(shared):
            yield f"sets {shared}"
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser") or not security.get("runAsGroup"):
        yield "may run as root"
    if not security.get("fsGroup"):
        yield "has no fsGroup: it could not read its secrets"
    if security.get("fsGroupChangePolicy") != "OnRootMismatch":
        yield "opens its volume to the group at each start"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has not the seccomp profile RuntimeDefault"
    for volume in pod.get("volumes", []):
        if "hostPath" in volume:
            yield f"mounts a folder of the node: {volume['name']}"
        if "secret" in volume and volume["secret"].get("defaultMode") != 0o400:
            yield f"secret {volume['name']} has not the mode 0400"
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"the scratch volume {volume['name']} has no limit"
    secrets = {volume["name"] for volume in pod.get("volumes", []) if "secret" in volume or "configMap" in volume}
    containers = pod.get("containers", []) + pod.get("initContainers", []) + pod.get("ephemeralContainers", [])
    for container in containers:
        for fault in container_faults(container, secrets):
            yield f"container {container['name']} {fault}"
        if "serve" in container.get("args", []):
            for fault in server_faults(container, pod):
                yield f"container {container['name']} {fault}"


def container_faults(container, secrets):
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if security.get("privileged"):
        yield "is privileged"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "can write its root file system"
    if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps or adds capabilities"
    resources = container.get("resources", {})
    for kind in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            if resource not in resources.get(kind, {}):
                yield f"has no {kind} of {resource}"
    image = container.get("image", "")
    if "@sha256:" not in image and (":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest")):
        yield f"runs an image without a fixed version: {image}"
    if container.get("envFrom"):
        yield "takes variables from outside"
    for variable in container.get("env", []):
        if "secretKeyRef" in variable.get("valueFrom", {}) or variable["name"].startswith("BULLA_"):
            yield f"has a setting or a secret in a variable: {variable['name']}"
    arguments = container.get("args", [])
    if "--no-env" not in arguments:
        yield "takes settings from the environment"
    mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
    if "/var/lib/bulla/identity" not in mounts:
        yield "has no identity as a mounted file"
    for mount in mounts.values():
        if mount["name"] in secrets and mount.get("readOnly") is not True:
            yield f"can write {mount['mountPath']}"


def server_faults(container, pod):
    arguments = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"] if "=" in argument)
    for needed in ("tls-cert", "tls-key", "probes", "drain", "drain-delay"):
        if needed not in arguments:
            yield f"is not told --{needed}"
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    if ports.get("https") != PORT or not arguments.get("listen", "").endswith(f":{PORT}"):
        yield f"does not listen on {PORT}"
    if not arguments.get("probes", "").endswith(f":{ports.get('probes')}"):
        yield "has its probes on another port than it says"
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        if container.get(probe, {}).get("httpGet") != {"path": path, "port": "probes"}:
            yield f"has no {probe} on its port for probes"
    stopping = int(arguments.get("drain-delay", 0)) + int(arguments.get("drain", 0))
    if pod.get("terminationGracePeriodSeconds", 30) <= stopping:
        yield f"is killed before it has drained: {stopping} s"
    if "subPath" in next((mount for mount in container["volumeMounts"] if mount["name"] == "tls"), {"subPath": ""}):
        yield "would not see a renewed certificate"


def set_faults(documents):
    """What one document cannot show."""
    of_kind = {}
    for document in documents:
        of_kind.setdefault(document["kind"], []).append(document)
    for account in of_kind.get("ServiceAccount", []):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{name(account)}: hands out tokens"
    for space in of_kind.get("Namespace", []):
        if space["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{name(space)}: does not enforce the restricted pod security"
    for service in of_kind.get("Service", []):
        if [port["targetPort"] for port in service["spec"]["ports"]] != ["https"]:
            yield f"{name(service)}: leads elsewhere than to the TLS port"
    servers = [document for document in documents if document["kind"] in {"StatefulSet", "Deployment"}]
    if not servers:
        return
    policies = of_kind.get("NetworkPolicy", [])
    both = {"Ingress", "Egress"}
    if not any(
        policy["spec"]["podSelector"] == {}
        and set(policy["spec"]["policyTypes"]) == both
        and not policy["spec"].get("ingress")
        and not policy["spec"].get("egress")
        for policy in policies
    ):
        yield "no network policy denies everything first"
    for server in servers:
        labels = server["spec"]["template"]["metadata"]["labels"].items()
        own = [policy for policy in policies if policy["spec"]["podSelector"].get("matchLabels", {}).items() <= labels]
        own = [policy for policy in own if policy["spec"]["podSelector"]]
        if not own:
            yield f"{name(server)}: no network policy is for it"
        for policy in own:
            for rule in policy["spec"].get("ingress", []):
                if [port["port"] for port in rule.get("ports", [])] != [PORT] or not rule.get("from"):
                    yield f"{name(policy)}: lets in more than named clients on {PORT}"
            for rule in policy["spec"].get("egress", []):
                if not rule.get("to") or not rule.get("ports"):
                    yield f"{name(policy)}: lets out to anywhere"
        budgets = of_kind.get("PodDisruptionBudget", [])
        if not any(budget["spec"]["selector"]["matchLabels"].items() <= labels for budget in budgets):
            yield f"{name(server)}: no disruption budget is for it"
        sqlite = any("sqlite:" in document["data"]["bulla.toml"] for document in of_kind.get("ConfigMap", []))
        if sqlite and server["spec"]["replicas"] != 1:
            yield f"{name(server)}: several servers on one SQLite project"


def faults(documents):
    found = []
    for document in documents:
        found += [f"{name(document)}: {fault}" for fault in schema_faults(document)]
        pod = pod_of(document)
        if pod:
            found += [f"{name(document)}: {fault}" for fault in pod_faults(pod)]
    return found + list(set_faults(documents))


def dockerfile_faults(text):
    froms = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    for base in froms:
        if base != "scratch" and "@sha256:" not in base:
            yield f"the base image {base} has no digest"
    last = text[text.rindex("\nFROM ") :]
    user = re.search(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    if not user or "0" in user.groups():
        yield "the last stage runs as root, or as a user without a number"
    if froms[-1] != "scratch":
        yield "the final image is not empty but for Bulla"
    if "HEALTHCHECK" not in last:
        yield "there is no health check"


# Where the documents come from.


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


class Report:
    def __init__(self):
        self.failed = False
        self.skipped = []

    def say(self, what, found):
        print(f"{'FAILED' if found else 'ok':7} {what}")
        for fault in found:
            print(f"        {fault}")
        self.failed |= bool(found)

    def skip(self, what, why):
        print(f"skipped {what}: {why}")
        self.skipped.append(what)


def manifests(report):
    """Yields what each folder of manifests comes to."""
    for folder in sorted((HERE / "kubernetes").iterdir()):
        what = f"kubernetes/{folder.name}"
        if shutil.which("kubectl"):
            rendered = run("kubectl", "kustomize", str(folder))
            if rendered.returncode:
                report.say(what, [rendered.stderr.strip()])
            else:
                yield what, parse(rendered.stdout)
        else:
            report.skip(what, "there is no kubectl")


def chart(report):
    """Yields what the chart comes to with each of its sets of values, and holds that it refuses none of its own."""
    try:
        import helm_python
    except ImportError:
        helm_python = None
    if helm_python is None and not shutil.which("helm"):
        report.skip("helm/bulla", "there is no Helm, neither as a library nor as a program")
        return
    for values in sorted((CHART / "ci").glob("*-values.yaml")):
        what = f"helm/bulla with {values.name}"
        if helm_python:
            given = yaml.load(values.read_text(), Loader)
            linted = helm_python.lint(CHART, given)
            # 1 is a remark, such as that a chart has no icon.
            found = [message["error"] for message in linted["messages"] if message["severity"] > 1] + linted["errors"]
            report.say(f"{what}: lint by Helm {helm_python.helm_sdk_version()}", found)
            with helm_python.Chart.load(CHART) as loaded:
                loaded.validate_schema(given)
                rendered = loaded.render(given, name="prod", namespace="bulla")
            texts = [text for path, text in rendered.items() if path.endswith(".yaml")]
        else:
            linted = run("helm", "lint", str(CHART), "--values", str(values))
            report.say(f"{what}: lint", [linted.stdout] if linted.returncode else [])
            rendered = run("helm", "template", "prod", str(CHART), "--namespace", "bulla", "--values", str(values))
            if rendered.returncode:
                report.say(what, [rendered.stderr.strip()])
                continue
            texts = [rendered.stdout]
        yield what, [document for text in texts for document in parse(text)]


def refusals(report):
    """Holds that the chart's schema refuses values that would not be safe."""
    try:
        import helm_python
    except ImportError:
        report.skip("helm/bulla: refused values", "Helm is not there as a library")
        return
    project = "5c" * 32
    unsafe = {
        "no project": {},
        "several servers on SQLite": {"project": project, "replicas": 2},
        "an image without a version": {"project": project, "image": {"tag": "latest"}},
        "no identity": {"project": project, "identity": {"secret": ""}},
        "no certificate": {"project": project, "tls": {"secret": ""}},
        "no clients named": {"project": project, "networkPolicy": {"clients": []}},
        "no limit of memory": {"project": project, "resources": {"limits": {"memory": None}}},
        "revocations without roots": {"project": project, "clientCertificates": {"revocations": True}},
        "an unknown value": {"project": project, "runAsRoot": True},
    }
    with helm_python.Chart.load(CHART) as loaded:
        for what, values in unsafe.items():
            try:
                loaded.validate_schema(values)
                report.say(f"helm/bulla refuses {what}", ["it does not"])
            except helm_python.HelmValuesError:
                report.say(f"helm/bulla refuses {what}", [])


def dockerfile(report):
    path = HERE / "container" / "Dockerfile"
    report.say("container/Dockerfile", list(dockerfile_faults(path.read_text())))
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if not hadolint:
        report.skip("container/Dockerfile: hadolint", "it is not there")
        return
    found = run(hadolint, "--no-color", str(path))
    report.say("container/Dockerfile: hadolint", found.stdout.splitlines() if found.returncode else [])


def unit(report):
    path = HERE / "systemd" / "bulla.service"
    if not shutil.which("systemd-analyze"):
        report.skip("systemd/bulla.service", "there is no systemd-analyze")
        return
    with tempfile.TemporaryDirectory() as folder:
        # The program need not be installed here.
        there = Path(folder) / "bulla.service"
        there.write_text(path.read_text().replace("/usr/bin/bulla", "/bin/true"))
        verified = run("systemd-analyze", "verify", str(there))
        complaints = [line for line in verified.stderr.splitlines() if "bulla" in line]
        report.say("systemd/bulla.service: verify", complaints or ([verified.stderr] if verified.returncode else []))
        exposed = run("systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", str(there))
        level = next((line for line in exposed.stdout.splitlines() if "Overall" in line), exposed.stderr).strip()
        report.say(f"systemd/bulla.service: {level.lstrip('→ ')}", [level] if exposed.returncode else [])


def self_test():
    """Takes each safeguard away, one at a time, from documents that pass. Each has to be missed."""

    def pod(documents):
        return next(pod_of(document) for document in documents if pod_of(document))

    def box(documents):
        return pod(documents)["containers"][0]

    def one(documents, kind, index=0):
        return [document for document in documents if document["kind"] == kind][index]

    def argument(documents, old, new):
        box(documents)["args"] = [new if given == old else given for given in box(documents)["args"]]

    def secret(documents):
        return next(volume for volume in pod(documents)["volumes"] if volume["name"] == "identity")["secret"]

    def mount(documents, of):
        return next(mount for mount in box(documents)["volumeMounts"] if mount["name"] == of)

    def remove(documents, kind, index=0):
        documents.remove(one(documents, kind, index))

    def environment(**variable):
        return lambda d: box(d)["env"].append(variable)

    breaks = [
        ("mounts a token", lambda d: pod(d).pop("automountServiceAccountToken")),
        ("default service account", lambda d: pod(d).pop("serviceAccountName")),
        ("variables about other services", lambda d: pod(d).update(enableServiceLinks=True)),
        ("sets hostNetwork", lambda d: pod(d).update(hostNetwork=True)),
        ("sets hostPID", lambda d: pod(d).update(hostPID=True)),
        ("may run as root", lambda d: pod(d)["securityContext"].update(runAsUser=0)),
        ("may run as root", lambda d: pod(d)["securityContext"].pop("runAsNonRoot")),
        ("has no fsGroup", lambda d: pod(d)["securityContext"].pop("fsGroup")),
        ("at each start", lambda d: pod(d)["securityContext"].update(fsGroupChangePolicy="Always")),
        ("seccomp profile", lambda d: pod(d)["securityContext"].update(seccompProfile={"type": "Unconfined"})),
        ("folder of the node", lambda d: pod(d)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})),
        ("has not the mode 0400", lambda d: secret(d).update(defaultMode=0o444)),
        ("has not the mode 0400", lambda d: secret(d).pop("defaultMode")),
        ("has no limit", lambda d: pod(d)["volumes"].append({"name": "scratch", "emptyDir": {}})),
        ("may gain privileges", lambda d: box(d)["securityContext"].update(allowPrivilegeEscalation=True)),
        ("is privileged", lambda d: box(d)["securityContext"].update(privileged=True)),
        ("can write its root", lambda d: box(d)["securityContext"].pop("readOnlyRootFilesystem")),
        ("capabilities", lambda d: box(d)["securityContext"]["capabilities"].update(add=["NET_ADMIN"])),
        ("capabilities", lambda d: box(d)["securityContext"].pop("capabilities")),
        ("no limits of memory", lambda d: box(d)["resources"]["limits"].pop("memory")),
        ("no requests of cpu", lambda d: box(d)["resources"]["requests"].pop("cpu")),
        ("without a fixed version", lambda d: box(d).update(image="registry:5000/bulla")),
        ("without a fixed version", lambda d: box(d).update(image="bulla:latest")),
        ("variables from outside", lambda d: box(d).update(envFrom=[{"secretRef": {"name": "x"}}])),
        ("secret in a variable", environment(name="KEY", valueFrom={"secretKeyRef": {"name": "x", "key": "y"}})),
        ("secret in a variable", environment(name="BULLA_BACKEND", value="postgres://user:password@host/")),
        ("settings from the environment", lambda d: box(d)["args"].remove("--no-env")),
        ("no identity", lambda d: box(d)["volumeMounts"].remove(mount(d, "identity"))),
        ("can write /var/lib/bulla/identity", lambda d: mount(d, "identity").pop("readOnly")),
        ("is not told --tls-cert", lambda d: argument(d, "--tls-cert=/etc/bulla/tls/tls.crt", "--json")),
        ("does not listen on 8200", lambda d: argument(d, "--listen=0.0.0.0:8200", "--listen=0.0.0.0:80")),
        ("another port than it says", lambda d: argument(d, "--probes=0.0.0.0:8202", "--probes=0.0.0.0:8203")),
        ("no readinessProbe", lambda d: box(d).pop("readinessProbe")),
        ("no livenessProbe", lambda d: box(d)["livenessProbe"]["httpGet"].update(port="https")),
        ("killed before it has drained", lambda d: pod(d).update(terminationGracePeriodSeconds=20)),
        ("renewed certificate", lambda d: mount(d, "tls").update(subPath="tls.crt")),
        ("hands out tokens", lambda d: one(d, "ServiceAccount").pop("automountServiceAccountToken")),
        ("restricted pod security", lambda d: one(d, "Namespace")["metadata"].pop("labels")),
        ("elsewhere than to the TLS port", lambda d: one(d, "Service")["spec"]["ports"][0].update(targetPort="probes")),
        ("denies everything first", lambda d: remove(d, "NetworkPolicy", 1)),
        ("no network policy is for it", lambda d: remove(d, "NetworkPolicy", 0)),
        ("more than named clients", lambda d: one(d, "NetworkPolicy")["spec"]["ingress"][0].pop("from")),
        ("more than named clients", lambda d: one(d, "NetworkPolicy")["spec"]["ingress"][0].pop("ports")),
        ("lets out to anywhere", lambda d: one(d, "NetworkPolicy")["spec"]["egress"].append({"ports": [{"port": 443}]})),
        ("no disruption budget", lambda d: remove(d, "PodDisruptionBudget")),
        ("on one SQLite project", lambda d: one(d, "StatefulSet")["spec"].update(replicas=2)),
        ("is not of Kubernetes", lambda d: box(d).update(readOnly=True)),
        ("is not of Kubernetes", lambda d: one(d, "Service")["spec"]["ports"][0].update(port="https")),
    ]
    paths = [path for folder in ("base", "single") for path in (HERE / "kubernetes" / folder).glob("*.yaml")]
    good = [document for path in paths for document in parse(path.read_text())]
    good = [document for document in good if document["kind"] != "Kustomization"]
    pod(good)["containers"][0]["image"] = "bulla:0.1.0"  # as kustomize makes it
    # The server's own policy comes first, so that it can be named by its place.
    good.sort(key=lambda document: (document["kind"], document["metadata"]["name"]))

    unexpected = [f"untouched: {fault}" for fault in faults(good)]
    for expected, change in breaks:
        broken = copy.deepcopy(good)
        change(broken)
        if not any(expected in fault for fault in faults(broken)):
            unexpected.append(f"not missed: {expected}")
    text = (HERE / "container" / "Dockerfile").read_text()
    images = [
        ("has no digest", re.sub(r"@sha256:\w+", "", text)),
        ("runs as root", text.replace("USER 1000:1000", "USER 0:0")),
        ("runs as root", text.replace("USER 1000:1000", "USER bulla")),
        ("not empty", text.replace("\nFROM scratch", "\nFROM debian@sha256:0")),
        ("no health check", text.replace("HEALTHCHECK", "# none")),
    ]
    for expected, broken in images:
        if not any(expected in fault for fault in dockerfile_faults(broken)):
            unexpected.append(f"not missed: {expected}")
    try:
        parse("a: 1\na: 2\n")
        unexpected.append("not missed: a key that is there twice")
    except yaml.YAMLError:
        pass
    for fault in unexpected:
        print(fault)
    total = len(breaks) + len(images) + 2
    print(f"{total - len(unexpected)} passed, {len(unexpected)} failed")
    return bool(unexpected)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--strict", action="store_true", help="a tool that is missing is a failure")
    options.add_argument("--self-test", action="store_true", help="show that each check can fail")
    given = options.parse_args()
    if given.self_test:
        return self_test()
    report = Report()
    for what, documents in manifests(report):
        report.say(what, faults(documents))
    for what, documents in chart(report):
        report.say(what, faults(documents))
    refusals(report)
    dockerfile(report)
    unit(report)
    return report.failed or (given.strict and bool(report.skipped))


if __name__ == "__main__":
    sys.exit(main())
