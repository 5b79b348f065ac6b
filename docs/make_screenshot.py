"""Makes the README's picture of the web page: `python docs/make_screenshot.py`, with Chromium."""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
PORT = 8599


def main() -> None:
    """Starts the page, compares a painting with its photograph, and takes the page's picture."""
    command = [*COMMAND, "--server.port", str(PORT), "--server.address", "127.0.0.1"]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        assert server.stdout
        next(line for line in server.stdout if "URL:" in line)  # it is up
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 850})
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{PORT}/?style=swirls")
        page.get_by_role("img", name="Painting").wait_for()
        page.get_by_text("All strengths").click()
        page.get_by_role("button", name="75 %").wait_for()
        page.get_by_role("slider", name="Photograph before painting").fill("35")
        page.locator("[data-test-script-state=notRunning]").wait_for()
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.shadowRoot?.activeElement?.blur()")
        page.wait_for_timeout(500)  # for what fades in
        page.screenshot(path=ROOT / "docs/page.jpg", type="jpeg", quality=80)
        browser.close()
        server.terminate()


if __name__ == "__main__":
    main()
