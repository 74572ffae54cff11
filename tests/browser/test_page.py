"""The page in a real browser, of a real central, during a real lottery."""

import re

import pytest

from central import Stream, wait_until

SIZES = {"phone": (360, 800), "desk": (1280, 800), "wall": (1920, 1080)}

# The parts of the page that don't change while nothing happens.
STILL = ["#headline", "#waits", "#also", "#total", "#total-label", "#winners", "#winners-label", "#winners-of",
         "#rejected", "#buffers-note", "#ledger", "#ledger-note", "#uptime-note", "#chips"]


def hold_lottery(central, connect, winning=(3, 0)):
    """Brings a lottery to its draw, with so many winning bets of each agency."""
    agencies = [connect(central, number + 1).send(200, count) for number, count in enumerate(winning)]
    for agency in agencies:
        agency.end()


def violations(page, axe):
    page.run(axe)
    found = page.driver.execute_async_script("const done = arguments[0]; axe.run().then("
                                             "it => done({passes: it.passes.map(rule => rule.id), violations: it.violations}))")
    assert {"color-contrast", "region", "td-headers-attr"} <= set(found["passes"]), "it has looked"
    return [(it["id"], [node["html"] for node in it["nodes"]]) for it in found["violations"]]


def test_the_page_is_right_at_each_stage(lottery, connect, browse):
    central = lottery(3)
    page = browse(central.url).wait_live()
    page.wait_text("#waits", "faltan las agencias 1, 2 y 3.")
    assert page.text("#headline") == "Todo en orden."
    assert page.text("#total") == "0"

    first, second = connect(central, 1), connect(central, 2)
    page.wait_text("tr.here th", "1")
    first.send(1500, winning=2)
    page.wait_text("#total", "1.500")
    second.send(500)
    page.wait_text("#total", "2.000")
    assert page.rows()[1][1:3] == ["Enviando", "1.500"]
    assert page.rows()[2][1:3] == ["Enviando", "500"]
    assert page.rows()[3][1:3] == ["Ausente", "0"]

    second.close()
    page.wait_text("#headline", "La agencia 2 se desconectó antes de terminar.")
    assert page.attribute("level") == "warning"
    wait_until(lambda: page.shown()[0] == 2, "what is wrong comes first")
    second = connect(central, 2)
    page.wait_text("#headline", "Todo en orden.")

    first.end()
    page.wait_text("#waits", "faltan las agencias 2 y 3.")
    second.end()
    page.wait_text("#waits", "falta la agencia 3.")
    connect(central, 3).send(250, winning=5).end()
    page.wait_text("#waits", "El sorteo se hizo a las")
    page.wait_text("#news", "Apuestas ganadoras: 7.")
    assert page.text("#winners .unseen") == "7"
    wait_until(lambda: [row[6] for row in page.rows().values()].count("—") == 0, "all winners there")
    assert {number: row[6] for number, row in page.rows().items()} == {1: "2", 2: "0", 3: "5"}
    assert page.attribute("stage") == "drawn"


def test_what_moves_is_shown(lottery, connect, browse):
    """The rate and its sparklines, when each agency came further last, how long commits take, who is connected."""
    central = lottery(3)
    page = browse(central.url).wait_live()
    assert page.text("#commit") == "—" and page.text("#commit-note") == "todavía nada"
    first, second = connect(central, 1), connect(central, 2)

    def cell(agency, column):
        return page.rows()[agency][column]

    def points(selector):
        return (page.run("const it = document.querySelector(arguments[0]); return it && it.getAttribute('d')", selector) or "").count("L")

    def moves():
        first.send(300)
        second.send(100)
        rates = [re.match(r"[0-9.]+", cell(agency, 3)) for agency in (1, 2)]
        return (all(rate and rate[0] != "0" for rate in rates) and re.fullmatch(r"[1-9][0-9.]* por segundo", page.text("#rate"))
                and points("tbody tr.send path") >= 2 and points("#graph .line") >= 2)
    wait_until(moves, "rates and sparklines")
    assert "en el último minuto mínimo" in cell(1, 3), "it is said, too"
    assert page.text("#graph-text").startswith("Apuestas por segundo en los últimos dos minutos: mínimo ")
    assert (cell(1, 5), cell(3, 5)) == ("ahora", "—")
    assert re.fullmatch(r"[0-9.,]+ (µs|ms|s)", page.text("#commit"))
    assert re.fullmatch(r"la mitad; 99 de 100 en [0-9.,]+ (µs|ms|s)", page.text("#commit-note"))
    limit = f"{central.status()['connections']['limit']:,}".replace(",", ".")
    page.wait_text("#connections", "2")
    page.wait_text("#connections-note", f"de {limit}; agencias 2, paneles ")

    second.send_bad(7)
    page.wait_text("#rejected", "7")
    wait_until(lambda: cell(2, 4) == "7", "the rejected bets of the agency")
    assert cell(1, 4) == "0"
    page.wait_text("#chips [data-kind=review]", "1")
    assert page.run("return document.querySelector('tbody td.some p').textContent") == "7"
    wait_until(lambda: page.shown()[0] == 2, "what is to be checked comes first")
    # Nothing is sent any more.
    wait_until(lambda: re.fullmatch(r"\d+ s", cell(1, 5)), "how long ago that was")
    wait_until(lambda: cell(1, 3).startswith("0;"), "no rate")
    first.close()
    page.wait_text("#connections-note", "agencias 1, paneles ")


def test_a_full_ledger_and_a_stalled_agency_are_said(lottery, connect, browse):
    central = lottery(2, SERVER_MAX_LEDGER_SIZE="64KiB")
    page = browse(central.url).wait_live()
    stalled, greedy = connect(central, 1).send(10), connect(central, 2)
    page.wait_text("#total", "10")
    wait_until(lambda: not takes(greedy), "a full ledger")
    page.wait_text("#headline", "El libro de apuestas está lleno: no se guardan más apuestas.")
    assert page.attribute("level") == "bad"
    assert central.get("/readyz") == (503, "ledger full: it has reached its limit\n")
    assert int(page.find("#ledger-bar").get_attribute("value")) >= 90
    page.wait_text("#ledger-note", "de 64 KiB")
    greedy.close()
    # More than a minute passes in which nothing is stored of it.
    wait_until(lambda: page.rows()[1][1] == "Sin avance", "the stalled agency", patience=100)
    assert "La agencia 1 no avanza desde hace más de un minuto." in page.text("#headline") + page.text("#also")
    page.wait_text("#chips [data-kind=review]", "2")
    # What the central itself renders says the same.
    still = browse(central.url, javascript=False)
    assert "no avanza desde hace más de un minuto" in still.find("#verdict").text
    stalled.end()
    page.wait_text("#waits", "falta la agencia 2.")
    wait_until(lambda: page.rows()[1][1] == "Terminó", "it has ended")


def takes(agency):
    """Whether a batch of it is stored."""
    try:
        agency.send(100)
    except (RuntimeError, EOFError, OSError):
        return False
    return True


def test_the_live_page_says_what_the_central_renders(lottery, connect, browse):
    """Page and central judge and write by the same rules, each in its own language."""
    central = lottery(12)
    connect(central, 2).send(1234)
    connect(central, 5).send(100).end()
    gone = connect(central, 7).send(77)
    gone.close()
    wait_until(lambda: not central.status()["agencies"][6]["connected"], "agency 7 gone")
    for language in ("es", "en"):
        url = f"{central.url}?lang={language}"
        still, live = browse(url, javascript=False), browse(url).wait_live()
        page = still.find("html").get_attribute("data-level")
        wait_until(lambda: live.attribute("level") == page, "the verdict")

        def differences():
            texts = {name: (still.find(name).get_attribute("textContent"), live.text(name)) for name in STILL}
            return {name: pair for name, pair in texts.items() if pair[0].strip() != pair[1]}
        assert differences() == {}
        rows = {row[0]: row for row in ([cell.get_attribute("textContent") for cell in line.find_elements("css selector", "th, td")]
                                        for line in still.driver.find_elements("css selector", "tbody tr"))}
        for number, row in live.rows().items():
            same = [0, 1, 2, 4, 6]  # rate and time go on
            assert [row[at] for at in same] == [rows[str(number)][at] for at in same]


def test_the_draw_is_shown_to_a_page_that_comes_later(lottery, connect, browse):
    central = lottery(2)
    hold_lottery(central, connect, winning=(12, 0))
    page = browse(central.url + "?lang=en").wait_live()
    assert page.text("#winners .unseen") == "12"
    assert page.text("#digits") == "12"
    assert page.text("#news") == "", "it isn't news"


def test_the_page_comes_back_with_the_central(lottery, connect, browse):
    central = lottery(2)
    connect(central, 1).send(300)
    page = browse(central.url, quiet=False).wait_live()
    page.wait_text("#total", "300")

    central.kill()
    wait_until(lambda: page.attribute("link") == "lost", "the loss seen")
    page.wait_text("#stale", "Sin conexión con la central. Última señal:", "UTC, hace")
    page.wait_text("#link", "Sin conexión")
    page.wait_text("#news", "Se perdió la conexión con la central.")

    central.start()
    page.wait_live()
    assert not page.find("#stale").is_displayed()
    page.wait_text("#total", "300")
    connect(central, 1).send(50)
    page.wait_text("#total", "350")
    # The browser itself says that the connection was refused; the page has nothing to add.
    assert [it for it in page.complaints() if "ERR_" not in it["message"]] == []


def test_the_page_may_be_paused(lottery, connect, browse):
    central = lottery(2)
    page = browse(central.url).wait_live()
    wait_until(lambda: central.status()["connections"]["admin"] >= 2, "the stream")
    page.find("#pause").click()
    page.wait_text("#stale", "En pausa. Datos de las")
    connect(central, 1).send(100)
    assert page.text("#total") == "0"
    page.find("#pause").click()
    page.wait_text("#total", "100")


def test_without_javascript_the_page_is_a_table(lottery, connect, browse):
    central = lottery(1000)
    connect(central, 3).send(120)
    page = browse(central.url, javascript=False)
    rows = page.driver.find_elements("css selector", "tbody tr")
    assert len(rows) == 1000
    assert [row.text.split()[0] for row in (*rows[:3], rows[-1])] == ["1", "2", "4", "3"]
    assert all(row.is_displayed() for row in (rows[0], rows[500], rows[999]))
    assert "faltan las agencias 1, 2, 3, 4, 5, 6, 7 y 993 más" in page.find("#waits").text
    assert page.find("noscript").text
    assert not page.find("#pause").is_displayed()


def test_a_thousand_agencies(lottery, connect, browse, screenshots):
    central = lottery(1000)
    page = browse(central.url).wait_live()
    assert len(page.rows()) == 1000
    assert len(page.shown()) == 60
    page.find("#more").click()
    assert len(page.shown()) == 120

    page.find("#find").send_keys("7, 998-1000")
    wait_until(lambda: page.shown() == [7, 998, 999, 1000], "those found")
    page.find("#find").clear()
    page.find("#find").send_keys("5000")
    wait_until(lambda: page.shown() == [], "none found")
    assert page.find("#no-match").is_displayed()
    page.run("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", page.find("#find"))

    connect(central, 990).send(400)
    connect(central, 500).send(90)
    page.wait_text("#chips [data-kind=sending]", "2")
    page.find("th.stored button").click()
    wait_until(lambda: page.shown()[:2] == [990, 500], "those with the most bets first")
    assert page.find("th.stored").get_attribute("aria-sort") == "descending"
    page.find("#chips [data-kind=sending]").click()
    assert page.shown() == [990, 500]
    page.wait_text("#news", "Agencias mostradas: 2.")

    for number in range(1, 1001):
        agency = connect(central, number)
        agency.end()
        agency.close()
    page.wait_text("#winners-of", "490", "1.000")
    wait_until(lambda: page.attribute("stage") == "drawn", "the draw")
    page.find("#chips [data-kind=all]").click()
    wait_until(lambda: len(page.shown()) == 60, "rows")
    page.screenshot(screenshots / "thousand-drawn.png")


def test_a_thousand_agencies_are_accessible_and_looked_at(lottery, connect, browse, axe, screenshots):
    central = lottery(1000)
    for number in range(1, 41):
        agency = connect(central, number).send(25 * number)
        if number % 4 == 0:
            agency.end()
        if number % 10 == 1:
            agency.close()
    page = browse(central.url).wait_live()
    page.wait_text("#total", "20.500")
    for dark in (False, True):
        page.prefer(dark)
        for name, size in SIZES.items():
            page.resize(*size)
            assert violations(page, axe) == [], (dark, name)
            assert page.run("return document.documentElement.scrollWidth - innerWidth") <= 0, name
            page.screenshot(screenshots / f"thousand-{'dark' if dark else 'light'}-{name}.png")


def test_everything_is_reached_by_keyboard(lottery, browse):
    central = lottery(20)
    page = browse(central.url).wait_live()
    reached = []
    for _ in range(40):
        page.driver.switch_to.active_element.send_keys("\ue004")  # Tab
        name = page.run("const it = document.activeElement; return it.id || it.dataset.kind || it.textContent.trim()")
        reached.append(name)
        outline = page.run("const it = getComputedStyle(document.activeElement); return it.outlineStyle")
        assert outline != "none", f"{name} shows no focus"
        if name == "Métricas":
            break
    for name in ("Ir a las agencias", "pause", "language", "all", "waiting", "find", "Apuestas", "Métricas"):
        assert name in reached, reached


def test_targets_are_large_enough_on_a_phone(lottery, browse):
    central = lottery(20)
    page = browse(central.url, size=SIZES["phone"]).wait_live()
    small = page.run("""return [...document.querySelectorAll('a, button, input')]
        .map(it => [it.textContent || it.id, it.getBoundingClientRect()])
        .filter(([, box]) => box.width && (box.width < 24 || box.height < 24)).map(([name]) => name)""")
    assert small == []
    assert page.run("return document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_hundred_pages_at_once(lottery, connect, browse):
    central = lottery(2)
    streams = [Stream(central) for _ in range(100)]
    page = browse(central.url).wait_live()
    assert {stream.next()[0] for stream in streams} == {"status"}

    connect(central, 1).send(700)
    for stream in streams:
        stream.until(lambda data: data["lottery"]["stored"] == 700)
    page.wait_text("#total", "700")
    for stream in streams:
        stream.close()
    wait_until(lambda: central.status()["connections"]["admin"] < 10, "the streams gone")


def test_ten_pages_in_a_browser_beside_ninety_streams(lottery, connect, browse):
    """Each at an address of its own: a browser opens no more than six connections to one."""
    central = lottery(2, admin_host="0.0.0.0")
    streams = [Stream(central) for _ in range(90)]
    page = browse(central.url, origin="http://127.0.0.").wait_live()
    windows = [page.driver.current_window_handle]
    for host in range(2, 11):
        page.driver.switch_to.new_window("window")
        page.open(central.url_at(f"127.0.0.{host}")).wait_live()
        windows.append(page.driver.current_window_handle)
    wait_until(lambda: central.metric("loteria_admin_streams") == 100, "all of them")

    connect(central, 1).send(700)
    connect(central, 2).send(50)
    for window in windows:
        page.driver.switch_to.window(window)
        page.wait_text("#total", "750")
        assert page.attribute("link") == "live"
    for stream in streams:
        stream.until(lambda data: data["lottery"]["stored"] == 750)
        stream.close()
    for window in windows[1:]:
        page.driver.switch_to.window(window)
        page.driver.close()
    page.driver.switch_to.window(windows[0])
    wait_until(lambda: central.metric("loteria_admin_streams") == 1, "the others gone")


@pytest.mark.parametrize("stage", ["new", "wrong", "drawn"])
def test_the_page_is_accessible_and_looked_at(stage, lottery, connect, browse, axe, screenshots):
    central = lottery(5)
    if stage == "wrong":
        connect(central, 1).send(900).end()
        connect(central, 2).send(400).close()
        connect(central, 3).send(650)
        connect(central, 4)
    if stage == "drawn":
        hold_lottery(central, connect, winning=(12, 7, 0, 3, 21))
    for language in ("es", "en"):
        page = browse(f"{central.url}?lang={language}").wait_live()
        for dark in (False, True):
            page.prefer(dark)
            for name, size in SIZES.items():
                page.resize(*size)
                assert violations(page, axe) == [], (language, dark, name)
                page.screenshot(screenshots / f"{stage}-{language}-{'dark' if dark else 'light'}-{name}.png")


def test_the_draw_moves_only_for_those_who_like_it(lottery, connect, browse):
    for reduced in (True, False):
        central = lottery(2)
        page = browse(central.url, reduced_motion=reduced).wait_live()
        page.run("""window.moved = false;
            new MutationObserver(() => { moved ||= document.documentElement.classList.contains('moment'); })
                .observe(document.documentElement, {attributes: true});""")
        hold_lottery(central, connect, winning=(1, 1))
        page.wait_text("#news", "Apuestas ganadoras: 2.")
        wait_until(lambda: [row[6] for row in page.rows().values()] == ["1", "1"], "the winners")
        assert page.run("return moved") == (not reduced)
