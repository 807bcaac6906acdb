"""The dashboard in a real Chromium: every page, what keeps itself up to date, every action.

Run by `just test-dashboard`, which brings Playwright and a Chromium.
"""

import os
import shutil
import unittest

from playwright.sync_api import expect, sync_playwright

from fleet import Fleet

SCREENSHOTS = os.environ.get("FLOTILLA_SCREENSHOTS")
PAGES = ["/", "/tasks", "/dead-letters", "/schedules", "/documents", "/ask"]
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def chromium():
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    found = [path for path in map(shutil.which, names) if path]
    assert found, "there is no Chromium on the PATH: scripts/chromium.sh installs one"
    return found[0]


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet()
        cls.addClassCleanup(cls.fleet.stop)
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        # What is shown comes from this machine's own fleet, so nothing is lost without a sandbox,
        # which Chromium cannot have as root.
        cls.browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)
        for path in ("/pump", "/app"):
            cls.fleet.post("/scrape?wait=30s", {"url": cls.fleet.site_url + path, "brand": "heron"})
        cls.failed = cls.fleet.post("/scrape?wait=30s", {"url": cls.fleet.site_url + "/missing", "brand": "heron"})["task_id"]
        indexed = lambda: len(cls.fleet.get("/documents")["documents"]) == 2
        cls.fleet.wait_until(indexed, 30, "the pages are not indexed")

    def setUp(self):
        self.problems = []
        self.page = self.open_browser(DESKTOP)

    def tearDown(self):
        if SCREENSHOTS:
            self.page.screenshot(path=f"{SCREENSHOTS}/{self.id().split('.')[-1]}.png", full_page=True)
        self.assertEqual(self.problems, [])

    def open_browser(self, options):
        context = self.browser.new_context(**options)
        self.addCleanup(context.close)
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        page.on("console", self.check_console)
        page.on("request", self.check_request)
        return page

    def check_console(self, message):
        # What the API refuses is told by the page; the browser's own line about it is no fault.
        if message.type == "error" and "/api/hp/" not in message.location["url"]:
            self.problems.append(f"console: {message.text}")

    def check_request(self, request):
        if not request.url.startswith(self.fleet.url):
            self.problems.append(f"request to {request.url}")

    def go(self, path, page=None):
        page = page or self.page
        page.goto(f"{self.fleet.url}/#{path}")
        expect(page.locator("h1")).to_be_visible()
        return page

    # Every page

    def test_every_page_has_a_heading_names_for_its_controls_and_no_error(self):
        unnamed = """() => [...document.querySelectorAll('button, a, input, select, textarea, svg[role=img]')]
            .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.closest('label') || e.title))
            .map(e => e.outerHTML)"""
        for path in [*PAGES, f"/tasks/{self.failed}"]:
            with self.subTest(path):
                self.go(path)
                self.page.wait_for_load_state("networkidle") if path not in ("/", "/tasks") else None
                self.assertEqual(self.page.evaluate(unnamed), [])
                expect(self.page.locator("main h1")).to_have_count(1)
                self.assertIn("Flotilla", self.page.title())

    def test_no_page_is_wider_than_a_phone(self):
        phone = self.open_browser(PHONE)
        for path in [*PAGES, f"/tasks/{self.failed}"]:
            with self.subTest(path):
                self.go(path, phone)
                phone.wait_for_timeout(300)
                self.assertLessEqual(phone.evaluate("document.documentElement.scrollWidth - innerWidth"), 0)

    def test_the_theme_follows_the_system_and_can_be_chosen(self):
        dark = self.open_browser({**DESKTOP, "color_scheme": "dark"})
        self.go("/", dark)
        self.assertEqual(dark.evaluate("document.documentElement.dataset.theme"), "dark")
        dark.get_by_role("button", name="Use the light theme").click()
        dark.reload()
        self.assertEqual(dark.evaluate("document.documentElement.dataset.theme"), "light")

    def test_everything_is_reached_by_keyboard(self):
        self.go("/")
        self.page.evaluate("document.activeElement.blur()")
        self.page.keyboard.press("Tab")
        expect(self.page.locator(".skip")).to_be_focused()
        for _ in range(3):
            self.page.keyboard.press("Tab")
        expect(self.page.get_by_role("link", name="Tasks", exact=True)).to_be_focused()
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", name="Tasks", level=1)).to_be_visible()

    def test_an_unknown_page_leads_back(self):
        self.go("/nowhere")
        self.page.get_by_role("link", name="Go to the overview").click()
        expect(self.page.get_by_role("heading", name="The fleet is up and working")).to_be_visible()

    # Overview

    def test_the_overview_keeps_itself_up_to_date(self):
        self.go("/")
        row = self.page.get_by_role("row").filter(has=self.page.get_by_role("link", name="Maintenance"))
        expect(row).to_be_visible()
        before = self.fleet.get("/stats")["by_category"]["maintenance"]["completed"]
        self.fleet.post("/maintenance?wait=20s", {"operation": "probe"})
        expect(row.locator("td").nth(7)).to_have_text(str(before + 1), timeout=15_000)
        expect(self.page.get_by_role("region", name="Latest failures")).to_contain_text("http_404", timeout=15_000)

    def test_charts_are_read_with_the_arrow_keys(self):
        self.go("/")
        chart = self.page.get_by_role("img", name="Tasks a minute, by outcome.")
        expect(chart.locator("rect").first).to_be_attached(timeout=30_000)
        chart.focus()
        self.page.keyboard.press("End")
        expect(self.page.locator(".chart .reading").first).to_contain_text("Completed")

    def test_a_category_is_paused_and_resumed(self):
        self.go("/")
        self.page.get_by_role("button", name="Pause batch").click()
        expect(self.page.get_by_role("button", name="Resume batch")).to_be_visible(timeout=10_000)
        self.assertEqual(len(self.fleet.get("/queues")["queues"]["batch_queue"]["paused"]), 5)
        self.page.get_by_role("button", name="Resume batch").click()
        expect(self.page.get_by_role("button", name="Pause batch")).to_be_visible(timeout=10_000)
        self.assertEqual(self.fleet.get("/queues")["queues"]["batch_queue"]["paused"], [])

    def test_a_breaker_is_forced_open_and_reset(self):
        self.go("/")
        state = lambda: self.fleet.get("/circuit-breakers")["circuit_breakers"]["chromadb"]["state"]
        self.page.get_by_role("button", name="Force chromadb open").click()
        self.page.get_by_role("button", name="Force open", exact=True).last.click()
        expect(self.page.get_by_role("button", name="Reset chromadb")).to_be_visible(timeout=10_000)
        self.assertEqual(state(), "open")
        self.page.get_by_role("button", name="Reset chromadb").click()
        expect(self.page.get_by_role("button", name="Force chromadb open")).to_be_visible(timeout=10_000)
        self.assertEqual(state(), "closed")

    def test_a_gateway_that_is_gone_is_told(self):
        self.go("/")
        expect(self.page.get_by_role("region", name="Queues")).to_contain_text("Scraping")
        self.page.route("**/api/**", lambda route: route.abort())
        expect(self.page.locator("#link")).to_have_text("The gateway does not answer", timeout=15_000)
        self.page.unroute("**/api/**")
        expect(self.page.locator("#link")).to_have_text("", timeout=15_000)

    # Tasks

    def test_tasks_are_filtered_and_the_address_keeps_the_filter(self):
        self.go("/tasks")
        self.page.get_by_label("State").select_option("failed")
        self.page.get_by_label("Error class").fill("http_404")
        self.page.get_by_label("Error class").press("Enter")
        rows = self.page.locator("tbody tr")
        expect(rows.filter(has_text=self.failed)).to_be_visible()
        expect(rows.filter(has_text="Completed")).to_have_count(0)
        self.assertIn("error_class=http_404", self.page.url)
        self.page.reload()
        expect(self.page.get_by_label("State")).to_have_value("failed")
        self.page.get_by_label("Error class").fill("no_such_class")
        self.page.get_by_label("Error class").press("Enter")
        expect(self.page.locator(".empty")).to_be_visible()

    def test_tasks_are_run_again_in_bulk_after_a_dry_run(self):
        doomed = self.fleet.post("/scrape?wait=30s", {"url": self.fleet.site_url + "/missing?bulk", "brand": "bulk"})["task_id"]
        self.go("/tasks?brand=bulk")
        row = self.page.get_by_role("row").filter(has_text=doomed)
        expect(row).to_be_visible(timeout=15_000)
        row.get_by_role("checkbox").check()
        self.page.get_by_role("button", name="Run again…").click()
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_contain_text("1 task")
        dialog.get_by_role("button", name="Run 1 task again").click()
        expect(self.page.locator("#notes")).to_contain_text("1 run again")
        again = lambda: len(self.fleet.get("/tasks?brand=bulk")["tasks"]) == 2
        self.fleet.wait_until(again, 20, "the task was not run again")

    def test_waiting_tasks_tell_why_and_can_be_cancelled(self):
        self.fleet.post("/queues/batch/pause")
        self.addCleanup(self.fleet.post, "/queues/batch/resume")
        body = {"items": [{"category": "query", "payload": {"query": "probe"}}]}
        task = self.fleet.post("/batch", body)["task_id"]
        self.go(f"/tasks/{task}")
        expect(self.page.get_by_text("Waiting: paused")).to_be_visible()
        expect(self.page.locator("pre.code")).to_contain_text("probe")
        self.page.get_by_role("button", name="Cancel…").click()
        self.page.get_by_role("button", name="Cancel the task").click()
        expect(self.page.locator(".state[data-state=cancelled]")).to_be_visible(timeout=10_000)

    def test_a_failed_task_shows_its_way_and_runs_again(self):
        self.go(f"/tasks/{self.failed}")
        expect(self.page.locator(".alert")).to_contain_text("http_404")
        expect(self.page.locator(".events")).to_contain_text("Attempt 1")
        expect(self.page.locator("pre.code")).to_contain_text("/missing")
        self.page.get_by_role("button", name="Run again").click()
        expect(self.page.locator("h1")).not_to_have_text(self.failed)
        expect(self.page.locator("dl.facts")).to_contain_text(self.failed)

    # Dead letters

    def test_a_dead_letter_is_mended_and_runs_again(self):
        dead = self.fleet.post("/scrape?wait=30s", {"url": self.fleet.site_url + "/wrong"})["task_id"]
        self.go("/dead-letters")
        self.page.get_by_role("button", name=f"Open {dead}").click()
        payload = self.page.get_by_label("Payload")
        expect(payload).to_be_focused()
        text = payload.input_value()
        self.assertIn("/wrong", text)
        payload.fill(text.replace("/wrong", "/app"))
        self.page.get_by_role("button", name="Run again", exact=True).click()
        expect(self.page.locator(".state[data-state=completed]").first).to_be_visible(timeout=30_000)

    def test_many_dead_letters_run_again_at_a_rate(self):
        url = self.fleet.site_url + "/many"
        dead = {self.fleet.post("/scrape?wait=30s", {"url": f"{url}?{number}"})["task_id"] for number in range(3)}
        self.go("/dead-letters")
        self.page.get_by_label("Category").select_option("scraping")
        for task in dead:
            expect(self.page.get_by_role("row").filter(has_text=task)).to_be_visible()
        self.page.get_by_role("button", name="Run all of these again…").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("Tasks a second").fill("50")
        dialog.get_by_role("button", name="Run them again").click()
        expect(self.page.locator("#notes")).to_contain_text("tasks run again")

    # Schedules

    def test_a_schedule_is_made_changed_and_removed(self):
        self.go("/schedules")
        self.page.get_by_role("button", name="New schedule").click()
        self.page.get_by_label("Name (optional)").fill("nightly-look")
        self.page.get_by_label("Cron").fill("30 4 * * *")
        self.page.get_by_role("button", name="Save").click()
        row = self.page.get_by_role("row").filter(has_text="nightly-look")
        expect(row).to_contain_text("30 4 * * *")
        self.page.get_by_role("button", name="Change nightly-look").click()
        self.page.get_by_label("Cron").fill("15 4 * * *")
        self.page.get_by_role("button", name="Save").click()
        expect(row).to_contain_text("15 4 * * *")
        self.page.get_by_role("button", name="Remove nightly-look").click()
        self.page.get_by_role("button", name="Remove it").click()
        expect(row).to_have_count(0)

    def test_a_wrong_cron_expression_is_told_as_the_api_tells_it(self):
        self.go("/schedules")
        self.page.get_by_role("button", name="New schedule").click()
        self.page.get_by_label("Cron").fill("99 * * * *")
        self.page.get_by_role("button", name="Save").click()
        expect(self.page.locator("#notes .bad")).to_contain_text("cron")

    # Documents and questions

    def test_a_page_is_scraped_and_retired(self):
        self.go("/documents")
        self.page.get_by_label("Address").fill(self.fleet.site_url + "/app")
        self.page.get_by_label("Brand (optional)").fill("short-lived")
        self.page.get_by_role("button", name="Scrape").click()
        expect(self.page.get_by_role("status").filter(has_text="Queued as")).to_be_visible()
        stored = lambda: self.fleet.get("/documents?brand=short-lived")["documents"]
        self.fleet.wait_until(stored, 30, "the page is not indexed")
        self.go("/documents?brand=short-lived")
        self.page.get_by_role("button", name="Retire Heron app: release notes").click()
        self.page.get_by_role("button", name="Retire it").click()
        expect(self.page.locator(".empty")).to_be_visible(timeout=10_000)

    def test_a_question_is_answered_with_the_quoted_source(self):
        self.go("/ask")
        self.page.get_by_label("Question").fill("How long does the warranty of the Heron pump last?")
        self.page.get_by_role("button", name="Ask").click()
        expect(self.page.locator(".answer")).to_contain_text("36 months", timeout=20_000)
        expect(self.page.locator(".sources mark").first).to_contain_text("36 months")
        expect(self.page.get_by_role("link", name="Heron garden pump: user manual").first).to_have_attribute("href", self.fleet.site_url + "/pump")

    def test_what_the_documents_do_not_say_is_said_so(self):
        self.go("/ask")
        self.page.get_by_label("Question").fill("Who won the chess championship in 1972?")
        self.page.get_by_role("button", name="Ask").click()
        expect(self.page.get_by_text("not in the documents")).to_be_visible(timeout=20_000)

    def test_what_a_page_says_stays_text(self):
        text = "The gate code of the Heron is <img src=x onerror=alert(1)> and <script>alert(2)</script> nothing else."
        self.fleet.post("/embed?wait=30s", {"document": {"id": "nasty", "title": "<b>Nasty</b>", "text": text}})
        alerts = []
        self.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        self.go("/ask?q=What+is+the+gate+code+of+the+Heron%3F")
        expect(self.page.locator(".answer")).to_contain_text("<img", timeout=20_000)
        self.assertEqual(self.page.locator("main img").count(), 0)
        self.assertEqual(alerts, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
