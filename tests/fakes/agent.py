"""A coding agent's terminal, as recorded of claude, pi, codex, opencode and gemini: agent.py NAME LOG [OPTION…]

LOG gets a JSON line for what is submitted ({"text"}), run as a shell ({"shell"}) and answered to a dialog ({"chose"}).
The text `dialog` opens a permission dialog; Enter says Yes to it, Esc says No, and nothing typed is shown; gemini's
takes a pasted 1 for a key. The text `/exit` ends it.
`--dialog`: it begins with one. `--busy N`: it reads nothing for N seconds. `--slow N`: N seconds pass before 5 KB are
drawn.
A last word with an @ opens a popup, which takes Enter in codex, opencode and gemini. Enter less than 0.12 s after a
text is ignored by codex, and a newline to gemini.
"""

import json
import os
import select
import sys
import time
import tty

NAME, LOG, OPTIONS = sys.argv[1], sys.argv[2], sys.argv[3:]
RULE = "\u2500" * 60
MARK = {"claude": "\u276f\xa0", "pi": "", "codex": "\u203a ", "opencode": "  \u2503  ", "gemini": " > "}[NAME]
PASTED = {
    "claude": "[Pasted text #1 +{} lines]",
    "pi": "[paste #1 +{} lines]",
    "codex": "[Pasted Content {} chars]",
    "opencode": "[Pasted ~{} lines]",
    "gemini": "[Pasted Text: {} lines]",
}[NAME]


def option(name):
    """Return an option's number of seconds, 0 where it is missing."""
    return float(OPTIONS[OPTIONS.index(name) + 1]) if name in OPTIONS else 0.0


class Agent:
    """Its prompt, its dialog and what it has been told."""

    def __init__(self):
        self.parts = []  # the text in the prompt: (text, as it is shown)
        self.said = []
        self.dialog = "--dialog" in OPTIONS
        self.typed_at = 0.0

    def note(self, **entry):
        with open(LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    @property
    def text(self):
        return "".join(text for text, _ in self.parts)

    def popup(self):
        return NAME in ("codex", "opencode", "gemini") and "@" in "".join(self.text.split(" ")[-1:])

    def draw(self):
        rows = [NAME, *self.said[-8:], ""]
        if self.dialog:
            rows += ["Bash command", "Do you want to proceed?", " \u276f 1. Yes", "   2. No"]
            row, col = (len(rows) - 1, 2) if NAME == "claude" else (len(rows) + 1, 1)
        else:
            shown = "".join(shown for _, shown in self.parts).split("\n")
            pad = "  \u2503  " if NAME == "opencode" else " " * len(MARK)
            rows += ["  \u2503" if NAME == "opencode" else RULE, MARK + shown[0], *(pad + line for line in shown[1:])]
            row, col = len(rows), len(rows[-1]) + 1
            rows += ["+ main.py"] * self.popup() + [RULE, "? for shortcuts"]
        screen = "\r\n".join(rows)
        os.write(1, f"\x1b[?2026h\x1b[H\x1b[2J{screen}\x1b[{row};{col}H\x1b[?2026l".encode())

    def enter(self):
        if self.dialog:
            self.note(chose="Yes")
            self.dialog = False
        elif self.popup():
            word = self.text.split(" ")[-1]
            done = self.text[: len(self.text) - len(word)] + "main.py "
            self.parts = [(done, done)]
        elif time.monotonic() - self.typed_at < 0.12 and NAME in ("codex", "gemini"):
            self.parts += [("\n", "\n")] if NAME == "gemini" else []
        elif self.text.strip():
            text, self.parts = self.text, []
            starts = text.lstrip() if NAME == "pi" else text
            self.note(**({"shell": starts.lstrip("!")} if starts[:1] == "!" else {"text": text}))
            self.said += [f"{MARK}{text}"[:100].replace("\n", " ")]
            self.dialog = text.strip() == "dialog"
            if text.strip() == "/exit":
                sys.exit()

    def paste(self, text):
        if len(text) > 5000:
            time.sleep(option("--slow"))
        self.typed_at = time.monotonic()
        if self.dialog:
            if NAME == "gemini" and text == "1":
                self.note(chose="1")
                self.dialog = False
        elif len(text) > 800 or text.count("\n") > 3:
            self.parts.append((text, PASTED.format(text.count("\n") + 1)))
        else:
            self.parts.append((text, text))

    def key(self, char):
        if char == "\r":
            self.enter()
        elif char == "\x15":
            self.parts = []
        elif char == "\x1b" and self.dialog:
            self.note(chose="No")
            self.dialog = False
        elif char >= " " and not self.dialog:
            self.parts.append((char, char))

    def run(self):
        tty.setraw(0)
        os.write(1, b"\x1b[?1049h\x1b[?2004h")
        time.sleep(option("--busy"))
        data = b""
        while True:
            self.draw()
            data += os.read(0, 65536)
            while data:
                if data.startswith(b"\x1b[200~"):
                    while b"\x1b[201~" not in data:
                        data += os.read(0, 65536)
                    text, _, data = data[6:].partition(b"\x1b[201~")
                    self.paste(text.decode())
                    if select.select([0], [], [], 0)[0]:
                        data += os.read(0, 65536)
                elif data[0] == 3:
                    return
                else:
                    count = next(n for n in (1, 2, 3, 4) if data[0] < (0x80, 0xE0, 0xF0, 0x100)[n - 1])
                    self.key(data[:count].decode())
                    data = data[count:]


if __name__ == "__main__":
    Agent().run()
