"""What is made from elsewhere is up to date, and the tests notice what they are for: faults are planted in copies of
the chart, and the test that is to find each has to fail there, though it passes here."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from chart import CHART, ROOT

POD, PROCESS, MOUNTS = "templates/_pod.tpl", "templates/_process.tpl", "templates/_mounts.tpl"
NETWORK, OBJECTS = "templates/_network.tpl", "templates/categories.yaml"
# (file, what is there, what is put in its place, the test that has to notice)
FAULTS = [
    (POD, "runAsNonRoot: true\n", "", "test_pods.Security.test_pods_are_of_the_restricted_profile"),
    (POD, "capabilities: {drop: [ALL]}", "capabilities: {drop: [NET_RAW]}", "test_pods.Security.test_containers_are_of_the_restricted_profile"),
    (POD, "enableServiceLinks: false\n", "", "test_pods.Security.test_pods_get_nothing_of_kubernetes"),
    (PROCESS, "  {{- if not .scaled }}\n  replicas: {{ .v.replicas }}\n  {{- end }}", "  replicas: {{ .v.replicas }}", "test_objects.Objects.test_autoscaling_decides_alone"),
    (MOUNTS, 'printf "%s.nk" ($.role | replace "." "-")', '"admin.nk"', "test_pods.Secrets.test_each_process_sees_its_own_seed_alone"),
    (PROCESS, "path: /livez", "path: /readyz", "test_pods.Life.test_probes"),
    (NETWORK, "        except: {{- toYaml $v4 | nindent 10 }}\n", "", "test_network.Network.test_the_scraper_reaches_the_web_and_nothing_private"),
    ("values.yaml", "    - 169.254.0.0/16\n", "", "test_network.Network.test_the_scraper_reaches_the_web_and_nothing_private"),
    (OBJECTS, "{{- if $v.podDisruptionBudget }}", "{{- if and $v.podDisruptionBudget $v.builtIn }}", "test_objects.Objects.test_categories_of_ones_own_are_values_only"),
    ("templates/_values.tpl", "add .v.preStopSeconds $drain 2 5", "add $drain 2 5", "test_pods.Life.test_there_is_time_to_drain"),
    ("values.schema.json", '"openToAll": {', '"openForAll": {', "test_values.Schema.test_it_knows_the_values_there_are"),
]


class Made(unittest.TestCase):
    def test_nothing_is_out_of_date(self):
        done = subprocess.run([sys.executable, ROOT / "scripts" / "chart.py", "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_planted_faults_are_found(self):
        for file, there, instead, test in FAULTS:
            with self.subTest(test, fault=there), tempfile.TemporaryDirectory() as directory:
                copy = pathlib.Path(directory) / "flotilla"
                shutil.copytree(CHART, copy)
                text = (copy / file).read_text()
                self.assertEqual(text.count(there), 1, f"{there!r} in {file}")
                (copy / file).write_text(text.replace(there, instead))
                done = subprocess.run([sys.executable, "-m", "unittest", test], cwd=pathlib.Path(__file__).parent,
                                      env=os.environ | {"FLOTILLA_CHART": str(copy)}, capture_output=True, text=True)
                self.assertTrue(done.stderr.splitlines()[-1].startswith("FAILED (failures="), done.stderr[-500:])


if __name__ == "__main__":
    unittest.main()
