"""Who may talk to whom: each kind of process reaches what it needs, and nothing else."""

import ipaddress
import unittest

from chart import EXAMPLES, example, one, rendered

# What no page may get the scraper to ask: this node's metadata, pods, services, the loopback, and their like in IPv6.
FORBIDDEN = ["169.254.169.254", "10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "0.0.0.0", "192.0.2.1",
             "224.0.0.1", "255.255.255.255", "fd00::1", "fe80::1", "64:ff9b::a00:1", "2002:a00:1::1", "ff02::1"]
PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


def policy(things, component):
    return one(things, "NetworkPolicy", f"fleet-flotilla-{component}")["spec"]


def reaches(spec, address, port):
    """Whether an address outside is among what the policy lets out to."""
    address = ipaddress.ip_address(address)

    def is_in(block):
        if address not in ipaddress.ip_network(block["cidr"]):
            return False
        return not any(address in ipaddress.ip_network(hole) for hole in block.get("except", []))

    for rule in spec["egress"]:
        ports = [one["port"] for one in rule["ports"]] if "ports" in rule else [port]
        blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer] if "to" in rule else [{"cidr": "0.0.0.0/0"}]
        if port in map(int, ports) and any(is_in(block) for block in blocks):
            return True
    return False


def components(rules, key):
    """The kinds of this release's pods that rules name."""
    return {peer["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
            for rule in rules for peer in rule.get(key, []) if list(peer) == ["podSelector"]}


class Network(unittest.TestCase):
    def test_every_pod_has_its_policy(self):
        for name in EXAMPLES:
            things = example(name)
            selectors = [thing["spec"]["podSelector"]["matchLabels"] for thing in things if thing["kind"] == "NetworkPolicy"]
            for thing in things:
                if thing["kind"] in ("Deployment", "StatefulSet"):
                    labels = thing["spec"]["template"]["metadata"]["labels"]
                    matching = [s for s in selectors if s.items() <= labels.items()]
                    self.assertEqual(len(matching), 1, f"{name}: {thing['metadata']['name']}")
            for thing in things:
                if thing["kind"] == "NetworkPolicy":
                    self.assertEqual(thing["spec"]["policyTypes"], ["Ingress", "Egress"])

    def test_the_scraper_reaches_the_web_and_nothing_private(self):
        spec = policy(example("kind"), "scraping")
        for address in PUBLIC:
            self.assertTrue(reaches(spec, address, 443), address)
            self.assertTrue(reaches(spec, address, 80), address)
            self.assertFalse(reaches(spec, address, 22), address)
        for address in FORBIDDEN:
            for port in (80, 443, 6443, 4222, 10250):
                self.assertFalse(reaches(spec, address, port), f"{address}:{port}")

    def test_holes_are_within_what_they_are_cut_from(self):
        for name in EXAMPLES:
            for thing in example(name):
                for rule in thing["spec"].get("egress", []) if thing["kind"] == "NetworkPolicy" else []:
                    for peer in rule.get("to", []):
                        for hole in peer.get("ipBlock", {}).get("except") or []:
                            whole = ipaddress.ip_network(peer["ipBlock"]["cidr"])
                            self.assertTrue(ipaddress.ip_network(hole).subnet_of(whole), f"{name}: {hole}")

    def test_others_do_not_reach_the_web(self):
        things = example("kind")
        for component in ("gateway", "stats", "batch", "maintenance", "test"):
            self.assertFalse(reaches(policy(things, component), PUBLIC[0], 443), component)
        # A language model has its port, and no other.
        self.assertTrue(reaches(policy(things, "query"), PUBLIC[0], 443))
        self.assertFalse(reaches(policy(things, "query"), PUBLIC[0], 80))
        self.assertFalse(reaches(policy(things, "query"), FORBIDDEN[0], 443))

    def test_the_policy_follows_the_settings(self):
        spec = policy(example("intranet"), "scraping")
        self.assertTrue(reaches(spec, "10.20.3.4", 8443))
        self.assertFalse(reaches(spec, "10.21.3.4", 443))
        self.assertFalse(reaches(spec, PUBLIC[0], 8080))
        query = policy(example("intranet"), "query")
        self.assertFalse(reaches(query, PUBLIC[0], 443))
        self.assertIn({"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}}}],
                       "ports": [{"protocol": "TCP", "port": 8000}]}, query["egress"])

    def test_what_is_of_this_release_is_reached_by_who_uses_it(self):
        things = example("browser-chromadb")
        for component, expected in [("scraping", {"nats"}), ("query", {"nats", "chromadb"}), ("embedding", {"nats", "chromadb"}),
                                    ("maintenance", {"nats", "chromadb"}), ("batch", {"nats"}), ("gateway", {"nats"})]:
            self.assertEqual(components(policy(things, component)["egress"], "to"), expected, component)
        self.assertEqual(policy(things, "chromadb")["egress"], [])

    def test_a_broker_of_ones_own(self):
        egress = policy(example("external-nats"), "batch")["egress"]
        self.assertIn([{"protocol": "TCP", "port": 4222}], [rule["ports"] for rule in egress])
        things = rendered({"nats": {"enabled": False, "url": "tls://a:4333,nats://b,wss://c"}})
        egress = policy(things, "batch")["egress"]
        ports = [[port["port"] for port in rule["ports"]] for rule in egress]
        self.assertIn([4333, 4222, 443], ports)

    def test_who_comes_in(self):
        things = example("sixth-category")
        fleet = {"app.kubernetes.io/name": "flotilla", "app.kubernetes.io/instance": "fleet"}
        peers = policy(things, "nats")["ingress"][0]["from"]
        self.assertEqual([peer["podSelector"]["matchLabels"] for peer in peers], [fleet, {"app": "invoice-mail"}])
        self.assertEqual(components(policy(things, "nats")["ingress"][1:], "from"), {"nats"})
        # Metrics for those who read them, and the API.
        ports = {port["port"] for rule in policy(things, "gateway")["ingress"] for port in rule["ports"]}
        self.assertEqual(ports, {8080, 9464})
        ports = {port["port"] for rule in policy(things, "batch")["ingress"] for port in rule["ports"]}
        self.assertEqual(ports, {9464})

    def test_traces_leave(self):
        things = example("observability")
        for component in ("gateway", "stats", "batch"):
            self.assertIn([{"protocol": "TCP", "port": 4317}], [rule["ports"] for rule in policy(things, component)["egress"]])
        self.assertNotIn([{"protocol": "TCP", "port": 4317}], [rule["ports"] for rule in policy(example("kind"), "batch")["egress"]])


if __name__ == "__main__":
    unittest.main()
