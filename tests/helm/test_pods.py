"""What every pod of every example has to have: the restricted profile and more, probes that mean something,
secrets by reference, and time to drain."""

import re
import tomllib
import unittest

from chart import EXAMPLES, ROOT, containers, environment, example, one, pods, rendered, seconds, settings

OURS = "/usr/local/bin/"


def every_pod():
    for name in EXAMPLES:
        for where, pod in pods(example(name)):
            yield f"{name}: {where}", pod


def every_container():
    for where, pod in every_pod():
        for container in containers(pod):
            yield f"{where}/{container['name']}", container


def is_ours(container):
    return container.get("command", [""])[0].startswith(OURS)


class Security(unittest.TestCase):
    def test_pods_are_of_the_restricted_profile(self):
        for where, pod in every_pod():
            with self.subTest(where):
                security = pod["securityContext"]
                self.assertIs(security.get("runAsNonRoot"), True)
                self.assertEqual(security.get("seccompProfile"), {"type": "RuntimeDefault"})
                # Where the platform does not say who runs, we do, and it is not root.
                expected = None if where.startswith("intranet") else 65532
                self.assertEqual(security.get("runAsUser"), expected)
                self.assertEqual(security.get("fsGroup"), expected)
                for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
                    self.assertNotIn(forbidden, pod)
                kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
                self.assertLessEqual(kinds, {"configMap", "secret", "emptyDir", "persistentVolumeClaim"})

    def test_containers_are_of_the_restricted_profile(self):
        for where, container in every_container():
            with self.subTest(where):
                self.assertEqual(container.get("securityContext"), {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
                for port in container.get("ports", []):
                    self.assertNotIn("hostPort", port)

    def test_pods_get_nothing_of_kubernetes(self):
        for where, pod in every_pod():
            with self.subTest(where):
                self.assertIs(pod.get("automountServiceAccountToken"), False)
                self.assertIs(pod.get("enableServiceLinks"), False)
                self.assertEqual(pod["serviceAccountName"], "fleet-flotilla")
        for name in EXAMPLES:
            self.assertIs(one(example(name), "ServiceAccount", "fleet-flotilla")["automountServiceAccountToken"], False)

    def test_nothing_is_unbounded(self):
        for where, pod in every_pod():
            for container in containers(pod):
                with self.subTest(f"{where}/{container['name']}"):
                    self.assertIn("memory", container["resources"]["limits"])
                    self.assertEqual({"cpu", "memory"}, set(container["resources"]["requests"]))
            for volume in pod["volumes"]:
                if "emptyDir" in volume:
                    self.assertIn("sizeLimit", volume["emptyDir"], f"{where}: {volume['name']}")

    def test_images_are_pinned(self):
        for where, container in every_container():
            self.assertRegex(container["image"], r"(:[-.\w]+|@sha256:[0-9a-f]{64})$", where)
            self.assertNotRegex(container["image"], ":latest$", where)
        digest = "sha256:" + "0" * 64
        things = rendered({"image": {"digest": digest}})
        self.assertEqual(one(things, "Deployment", "fleet-flotilla-stats")["spec"]["template"]["spec"]["containers"][0]["image"],
                         f"flotilla@{digest}")

    def test_brokers_and_browsers_are_those_that_are_tested(self):
        tools = (ROOT / "scripts" / "tool.sh").read_text()
        images = {container["image"] for _, container in every_container()}
        for image, pin in [("nats:{}-alpine", "nats_server_version"), ("chromadb/chroma:{}", "chromadb_version")]:
            version = re.search(rf"^{pin}=(\S+)", tools, re.M).group(1)
            self.assertIn(image.format(version), images)


class Secrets(unittest.TestCase):
    def test_the_chart_makes_none(self):
        for name in EXAMPLES:
            self.assertNotIn("Secret", {thing["kind"] for thing in example(name)}, name)

    def test_each_process_sees_its_own_seed_alone(self):
        things = example("production")
        for thing in things:
            if thing["kind"] == "Deployment":
                component = thing["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
                pod = thing["spec"]["template"]["spec"]
                user = component if component in ("gateway", "stats") else f"worker-{component}"
                volume = next(volume for volume in pod["volumes"] if volume["name"] == "nats-user")
                self.assertEqual(volume["secret"]["items"], [{"key": f"{user}.nk", "path": "user"}])
                role = environment(pod["containers"][0])["FLOTILLA_NATS__ROLE"]
                self.assertEqual(role, user.replace("-", ".", 1))
        users = one(things, "StatefulSet", "fleet-flotilla-nats")["spec"]["template"]["spec"]["volumes"]
        keys = [item["key"] for volume in users if volume["name"] == "users" for item in volume["secret"]["items"]]
        self.assertEqual(keys, ["authorization.conf", "keys.conf"])

    def test_a_handler_sees_its_own_seed_alone(self):
        pod = one(example("secured-handlers"), "Deployment", "fleet-flotilla-translate")["spec"]["template"]["spec"]
        keys = {volume["name"]: [item["key"] for item in volume["secret"]["items"]]
                for volume in pod["volumes"] if "secret" in volume}
        self.assertEqual(keys, {"nats-user": ["worker-translate.nk"], "nats-tls": ["ca.crt"], "translator": ["translator.nk"]})
        seen = {container["name"]: {mount["name"] for mount in container["volumeMounts"]} & set(keys) for container in containers(pod)}
        self.assertEqual(seen, {"translate": {"nats-user", "nats-tls"}, "handler": {"translator", "nats-tls"}})

    def test_a_process_sees_volumes_of_ones_own(self):
        things = rendered({"defaults": {"extraVolumes": [{"name": "authority", "configMap": {"name": "ours"}}]},
                           "categories": {"query": {"extraVolumeMounts": [{"name": "authority", "mountPath": "/authority"}]}}})
        for where, pod in pods(things):
            if where.startswith("Deployment/"):
                with self.subTest(where):
                    self.assertEqual(pod["volumes"][-1], {"name": "authority", "configMap": {"name": "ours"}})
                    mounts = [mount["name"] for mount in pod["containers"][0]["volumeMounts"]]
                    self.assertEqual("authority" in mounts, where.endswith("-query"))

    def test_roles_of_categories_with_an_underscore(self):
        things = rendered({"nats": {"auth": {"existingSecret": "users"}}, "categories": {"invoice_mail": {}}})
        pod = one(things, "Deployment", "fleet-flotilla-invoice-mail")["spec"]["template"]["spec"]
        volume = next(volume for volume in pod["volumes"] if volume["name"] == "nats-user")
        self.assertEqual(volume["secret"]["items"][0]["key"], "worker-invoice_mail.nk")
        self.assertEqual(environment(pod["containers"][0])["FLOTILLA_NATS__ROLE"], "worker.invoice_mail")

    def test_keys_go_to_who_uses_them(self):
        for secret, users in [("api-keys", {"gateway"}), ("openai", {"query", "embedding"})]:
            seen = set()
            for where, pod in pods(example("production")):
                if any(volume["name"] == secret for volume in pod["volumes"]):
                    seen.add(where.removeprefix("Deployment/fleet-flotilla-"))
            self.assertEqual(seen, users, secret)

    def test_files_that_settings_name_are_mounted(self):
        for name in EXAMPLES:
            things = example(name)
            files = set(re.findall(r'"(/[^"]+)"', settings(things)))
            mounted = {mount["mountPath"] for _, pod in pods(things) for container in containers(pod)
                       for mount in container.get("volumeMounts", [])}
            for file in files:
                if not file.startswith("//"):
                    self.assertTrue(any(file == path or file.startswith(path + "/") for path in mounted), f"{name}: {file}")


class Life(unittest.TestCase):
    def test_probes(self):
        for where, container in every_container():
            if not is_ours(container) or container["command"] == [OURS + "flotilla"]:
                continue
            with self.subTest(where):
                for probe, path in [("startup", "/startupz"), ("liveness", "/livez"), ("readiness", "/readyz")]:
                    self.assertEqual(container[f"{probe}Probe"]["httpGet"], {"path": path, "port": "ops"})
                start = container["startupProbe"]
                self.assertGreaterEqual(start["periodSeconds"] * start["failureThreshold"], 1800)

    def test_there_is_time_to_drain(self):
        flush = re.search(r"const FLUSH_TIME: Duration = Duration::from_secs\((\d+)\)",
                          (ROOT / "common" / "src" / "service" / "main.rs").read_text())
        for name in EXAMPLES:
            things = example(name)
            read = tomllib.loads(settings(things))
            for where, pod in pods(things):
                container = pod["containers"][0]
                if "Deployment" not in where:
                    continue
                section = "gateway" if where.endswith("-gateway") else "worker"
                drain = environment(container).get("FLOTILLA_WORKER__DRAIN_GRACE", read[section]["drain_grace"])
                pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                needed = pause + seconds(drain) + int(flush.group(1)) + 5
                self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], needed, f"{name}: {where}")

    def test_a_category_may_drain_for_longer(self):
        things = rendered({"categories": {"batch": {"drainGrace": "5m"}}})
        pod = one(things, "Deployment", "fleet-flotilla-batch")["spec"]["template"]["spec"]
        self.assertEqual(pod["terminationGracePeriodSeconds"], 307)
        self.assertEqual(environment(pod["containers"][0])["FLOTILLA_WORKER__DRAIN_GRACE"], "5m")
        self.assertEqual(tomllib.loads(settings(things))["worker"]["drain_grace"], "25s")

    def test_the_gateway_is_forgotten_before_it_stops(self):
        pod = one(example("kind"), "Deployment", "fleet-flotilla-gateway")["spec"]["template"]["spec"]
        self.assertEqual(pod["containers"][0]["lifecycle"], {"preStop": {"sleep": {"seconds": 5}}})

    def test_sidecars_end_last(self):
        for name, workload in [("browser-chromadb", "scraping"), ("sixth-category", "translate")]:
            pod = one(example(name), "Deployment", f"fleet-flotilla-{workload}")["spec"]["template"]["spec"]
            self.assertEqual([container.get("restartPolicy") for container in pod["initContainers"]], ["Always"])

    def test_new_settings_start_new_pods(self):
        def checksums(values):
            return {thing["metadata"]["name"]: thing["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
                    for thing in rendered(values) if thing["kind"] in ("Deployment", "StatefulSet")}
        before, after = checksums({}), checksums({"config": {"log": {"level": "debug"}}})
        self.assertEqual({name for name in before if before[name] == after[name]}, {"fleet-flotilla-nats"})
        after = checksums({"nats": {"syncInterval": "2m"}})
        self.assertEqual({name for name in before if before[name] != after[name]}, {"fleet-flotilla-nats"})

    def test_a_new_chart_alone_starts_nothing_anew(self):
        for name in EXAMPLES:
            for thing in example(name):
                if thing["kind"] in ("Deployment", "StatefulSet"):
                    labels = thing["spec"]["template"]["metadata"]["labels"]
                    self.assertFalse({"helm.sh/chart", "app.kubernetes.io/version"} & set(labels))


if __name__ == "__main__":
    unittest.main()
