# SPDX-License-Identifier: Apache-2.0
"""The pages of `report` in a browser: every chart is drawn with all its data, on a desk, on a phone, in the dark, on
paper and without scripts, and nothing complains. MOESHIFT_PICTURES=FOLDER keeps pictures to look at;
MOESHIFT_NEW_GOLDENS=1 writes tests/golden/pages anew (look at them before you commit them)."""
import base64
import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE)]

import browser  # noqa: E402
import cli  # noqa: E402
from cli import CliTest  # noqa: E402

READY = "document.documentElement?.dataset.ready !== undefined"
DRAWN = "document.querySelectorAll('.plot[data-points]').length"
PLOTS = "[...document.querySelectorAll('.plot')].map(p => [Number(p.dataset.points), p.clientWidth, p.clientHeight])"
PREFILL = ("--ranks", 32, "--slots", 288, "--cluster", "hgx_h200", "--model", "deepseek_v3_fp8")


GOLDENS = cli.SOURCE / "tests" / "golden" / "pages"
# A page shrunk to a quarter: fonts and hinting of another machine blur away, a figure that moved does not.
SHRINK = """(async () => { const image = new Image(); image.src = 'data:image/png;base64,%s'; await image.decode();
  const canvas = document.createElement('canvas'); canvas.width = image.width / 4; canvas.height = image.height / 4;
  const pen = canvas.getContext('2d'); pen.imageSmoothingQuality = 'high';
  pen.drawImage(image, 0, 0, canvas.width, canvas.height); return canvas.toDataURL('image/png').split(',')[1]; })()"""
# Mean difference of the colours, and the share of pixels that differ by more than a fifth, of blocks of 4 x 4.
COMPARE = """(async () => { const pixels = async text => { const image = new Image(); image.src = 'data:image/png;base64,' + text;
    await image.decode(); const canvas = document.createElement('canvas'); canvas.width = Math.floor(image.width / 4);
    canvas.height = Math.floor(image.height / 4); const pen = canvas.getContext('2d'); pen.imageSmoothingQuality = 'high';
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    return [image.height, pen.getImageData(0, 0, canvas.width, canvas.height).data]; };
  const [oldHeight, old] = await pixels('%s'), [newHeight, fresh] = await pixels('%s');
  const count = Math.min(old.length, fresh.length); let sum = 0, far = 0;
  for (let i = 0; i < count; i += 4) { const d = (Math.abs(old[i] - fresh[i]) + Math.abs(old[i + 1] - fresh[i + 1])
      + Math.abs(old[i + 2] - fresh[i + 2])) / 3; sum += d; far += d > 51; }
  return [newHeight / oldHeight, sum / (count / 4) / 255, far / (count / 4)]; })()"""


def charts_of(envelope):
    return [block for block in envelope["view"]["blocks"] if block["kind"] in ("chart", "heatmap")]


def points_of(block):
    """How many points a drawing of the block has."""
    if block["kind"] == "heatmap":
        return sum(len(row) for row in block["values"])
    rows, columns = block["data"]["rows"], block["data"]["columns"]
    if block["draw"] == "scatter":
        return len(rows)
    if block["draw"] == "intervals":
        return len(rows) + sum(1 for row in rows if len(row) > 2 and row[2] is not None)
    if block["draw"] == "spans":
        return len(rows)
    if block["draw"] == "waterfall":
        return len(rows)
    return len(rows) * (len(columns) - 1)


class ReportPages(CliTest):
    def setUp(self):
        super().setUp()
        program = browser.found()
        if program is None:
            self.skipTest("no Chromium here: " + ", ".join(browser.NAMES))
        self.browser = browser.Browser(program)
        self.addCleanup(self.browser.close)

    def results(self):
        """Results of the commands that are quick, with pages of every kind of chart."""
        self.good("plan", cli.DEEPSEEK_LIKE, *PREFILL, "--policy", "deepseek", "--windows", "0:2", "-o", "a.json", "-q")
        self.good("plan", cli.DEEPSEEK_LIKE, *PREFILL, "--policy", "vllm", "--from", "a.json", "-o", "b.json", "-q")
        self.good("moves", "a.json", "b.json", *PREFILL[4:], "--against", "vllm", "-o", "c.json", "-q")
        self.good("execute", "a.json", "b.json", "--cluster", "host", "--model", "deepseek_v3_fp8", "--layers", 2,
                  "--scale", "1/256", "-o", "d.json", "-q")
        self.good("compare", cli.DEEPSEEK_LIKE, *PREFILL, "--policies", "static,deepseek", "--train", "0:2", "--test", "2:6",
                  "-o", "e.json", "-q")
        self.good("trace", "info", cli.MOE64_LIKE, "-o", "f.json", "-q")
        return [f"{name}.json" for name in "abcdef"]

    def page(self, names, output="page.html"):
        self.good("report", *names, "-o", output, "-q")
        return self.folder / output

    def opened(self, page, **look):
        """With all its charts, also those that nobody has scrolled to."""
        self.browser.look(**look)
        self.browser.open(page)
        self.browser.wait_for(READY)
        self.browser.value("dispatchEvent(new Event('drawall'))")

    def keep(self, name):
        folder = os.environ.get("MOESHIFT_PICTURES")
        if folder:
            self.browser.picture(pathlib.Path(folder) / f"{name}.png")

    def test_every_chart_is_drawn_with_all_its_data_and_nothing_complains(self):
        names = self.results()
        page = self.page(names)
        self.assertLess(page.stat().st_size, 1_500_000)
        want = [points_of(block) for name in names for block in charts_of(self.load(name))]
        for width, height, dark in ((1280, 900, False), (1280, 900, True), (390, 844, False), (390, 844, True)):
            with self.subTest(width=width, dark=dark):
                self.opened(page, width=width, height=height, dark=dark)
                plots = self.browser.value(PLOTS)
                self.assertEqual([points for points, _, _ in plots], want)
                self.assertTrue(all(0 < wide <= width and high > 50 for _, wide, high in plots), plots)
                self.assertLessEqual(self.browser.value("document.documentElement.scrollWidth"), width)
                paper = self.browser.value("getComputedStyle(document.body).backgroundColor")
                self.assertEqual(paper, "rgb(20, 23, 27)" if dark else "rgb(251, 250, 248)")
                self.assertEqual(self.browser.complaints, [])
                self.keep(f"report_{width}_{'dark' if dark else 'light'}")

    def test_pages_look_as_those_that_were_looked_at(self):
        self.good("plan", cli.DEEPSEEK_LIKE, *PREFILL, "--policy", "deepseek", "--windows", "0:2", "-o", "a.json", "-q")
        self.good("plan", cli.DEEPSEEK_LIKE, *PREFILL, "--policy", "vllm", "--from", "a.json", "-o", "b.json", "-q")
        self.good("moves", "a.json", "b.json", *PREFILL[4:], "--against", "vllm", "-o", "c.json", "-q")
        for name in ("a.json", "c.json"):  # a picture shows no folder of the machine it was taken on
            envelope = self.load(name)
            envelope["meta"]["argv"][0] = "moeshift"
            envelope["meta"]["argv"] = [pathlib.Path(word).name for word in envelope["meta"]["argv"]]
            for given in envelope["meta"]["inputs"]:
                given["path"] = pathlib.Path(given["path"]).name
            self.write(name, json.dumps(envelope))
        page = self.page(["a.json", "c.json"])
        for width, height, dark in ((1280, 900, False), (1280, 900, True), (390, 844, False), (390, 844, True)):
            name = f"plan_{width}_{'dark' if dark else 'light'}.png"
            with self.subTest(picture=name):
                self.opened(page, width=width, height=height, dark=dark)
                self.browser.picture(self.folder / name)
                whole = base64.b64encode((self.folder / name).read_bytes()).decode()
                small = self.browser.value(SHRINK % whole)
                if os.environ.get("MOESHIFT_NEW_GOLDENS"):
                    (GOLDENS / name).write_bytes(base64.b64decode(small))
                    continue
                golden = base64.b64encode((GOLDENS / name).read_bytes()).decode()
                longer, mean, far = self.browser.value(COMPARE % (golden, small))
                self.assertTrue(0.9 < longer < 1.1, f"{longer:.2f} times as long")
                self.assertLess(mean, 0.03, "mean difference of colours")
                self.assertLess(far, 0.04, "share of the page that looks otherwise")

    def test_a_page_of_94_layers_on_1024_ranks_is_small_enough_and_drawn_whole(self):
        self.good("trace", "generate", "--preset", "prefill", "--layers", 94, "--experts", 256, "--steps", 1, "-o", "t.jsonl", "-q")
        self.good("plan", "t.jsonl", "--ranks", 1024, "--slots", 1024, "--nodes", 128, "--groups", 1, "--policy", "deepseek", "-o", "p.json", "-q")
        page = self.page(["p.json"])
        self.assertLess(page.stat().st_size, 1_500_000)
        self.opened(page, width=1280, height=900)
        self.assertIn(94 * 1024, [points for points, _, _ in self.browser.value(PLOTS)])
        self.assertEqual(self.browser.complaints, [])
        self.keep("report_1024_ranks")

    def test_a_dozen_results_are_there_at_once_and_drawn_as_somebody_scrolls_to_them(self):
        names = self.results() * 2
        page = self.page(names)
        self.browser.look(1280, 900)
        self.browser.open(page)
        self.browser.wait_for(READY)
        loaded, answers = self.browser.value(
            "[performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd, performance.now()]")
        self.assertEqual(self.browser.value("document.querySelectorAll('nav li').length"), 12)
        charts = self.browser.value("document.querySelectorAll('.plot').length")
        self.assertLess(self.browser.value(DRAWN), charts, "what nobody sees is not drawn")
        height = self.browser.value("document.documentElement.scrollHeight")
        start = time.monotonic()
        self.browser.value("document.querySelectorAll('.plot')[0].scrollIntoView({ behavior: 'instant' })")
        self.browser.wait_for("document.querySelectorAll('.plot')[0].dataset.points > 0")
        first = time.monotonic() - start
        self.browser.value("document.querySelectorAll('.plot')[%d].scrollIntoView({ behavior: 'instant' })" % (charts - 1))
        self.browser.wait_for("document.querySelectorAll('.plot')[%d].dataset.points > 0" % (charts - 1))
        start = time.monotonic()
        self.browser.value("dispatchEvent(new Event('drawall'))")
        self.assertEqual(self.browser.value(DRAWN), charts)
        print(f"twelve results, {page.stat().st_size / 1e6:.2f} MB: loaded after {loaded / 1e3:.2f} s, what is in view drawn "
              f"after {answers / 1e3:.2f} s, a chart scrolled to {first:.2f} s later, the rest of {charts} at once in "
              f"{time.monotonic() - start:.2f} s", file=sys.stderr)
        self.assertEqual(self.browser.value("document.documentElement.scrollHeight"), height, "the page jumps")

    def test_choosing_layers_leaves_only_these(self):
        page = self.page([self.results()[0]])
        self.opened(page, width=1280, height=900)
        self.browser.value("""(() => { const field = document.querySelector('.layers input'); field.value = '3-5, 10';
            field.dispatchEvent(new Event('input')); })()""")
        bars, heat = charts_of(self.load("a.json"))
        kept = [row for row in bars["data"]["rows"] if int(row[0]) in (3, 4, 5, 10)]
        self.assertGreater(len(kept), 0)
        points = [points for points, _, _ in self.browser.value(PLOTS)]
        self.assertEqual(points, [len(kept) * (len(bars["data"]["columns"]) - 1), len(kept) * len(heat["column_names"])])

    def test_a_heading_sorts_its_column_both_ways_by_value(self):
        self.good("compare", cli.DEEPSEEK_LIKE, *PREFILL, "--policies", "static,deepseek,snake", "--train", "0:2",
                  "--test", "2:4", "-o", "e.json", "-q")
        self.opened(self.page(["e.json"]), width=1280, height=900)
        column = """[...document.querySelectorAll('section table')].find(t => !t.closest('details')).tBodies[0].rows"""
        values = f"[...{column}].map(r => Number(r.cells[3].dataset.v ?? r.cells[3].textContent))"
        click = "[...document.querySelectorAll('section table')].find(t => !t.closest('details')).tHead.rows[0].cells[3].firstChild.click()"
        self.browser.value(click)
        up = self.browser.value(values)
        self.assertEqual(up, sorted(up))
        self.browser.value(click)
        self.assertEqual(self.browser.value(values), sorted(up, reverse=True))

    def test_arrow_keys_walk_through_a_chart(self):
        self.good("trace", "info", cli.MOE64_LIKE, "-o", "f.json", "-q")
        self.opened(self.page(["f.json"]), width=1280, height=900)
        self.browser.value("document.querySelector('.plot').focus()")
        for _ in range(2):
            self.browser.ask("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight")
        self.browser.wait_for("[...document.querySelectorAll('.plot div')].some(d => d.textContent.includes('assignments'))", 5)
        self.assertEqual(self.browser.complaints, [])

    def test_without_scripts_every_figure_of_every_chart_is_a_table(self):
        page = self.page([self.results()[2]])
        self.browser.look(1280, 900, scripts=False)
        self.browser.open(page)
        time.sleep(0.5)
        self.browser.ask("Emulation.setScriptExecutionDisabled", value=False)
        shown = self.browser.value("[...document.querySelectorAll('figure table')].map(t => t.checkVisibility()"
                                   " ? t.tBodies[0].rows.length : 0)")
        charts = charts_of(self.load("c.json"))
        want = [len(block["values"]) if block["kind"] == "heatmap" else len(block["data"]["rows"]) for block in charts]
        self.assertEqual(shown, want)
        self.assertEqual(self.browser.value("[...document.querySelectorAll('.plot')].filter(p => p.checkVisibility()).length"), 0)

    def test_on_paper_a_dark_page_is_light_and_whole(self):
        page = self.page([self.results()[0]])
        self.opened(page, width=1280, height=900, dark=True)
        self.browser.value("dispatchEvent(new Event('beforeprint'))")
        self.assertEqual(self.browser.value("document.documentElement.dataset.mode"), "light")
        self.assertTrue(self.browser.value("[...document.querySelectorAll('details:not(.data)')].every(d => d.open)"))
        self.browser.value("dispatchEvent(new Event('afterprint'))")
        self.assertEqual(self.browser.value("document.documentElement.dataset.mode"), "auto")
        self.assertEqual(self.browser.complaints, [])
