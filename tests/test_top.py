"""`looop top`: what it draws at any size, what keys run, and how it leaves a terminal."""

import json
import os
import signal
import sys
import time
import unittest.mock

import looop
from tests.support import Case, Terminal, heavy, which

SIZES = ((80, 24), (60, 15), (200, 50), (250, 70), (46, 8), (20, 3), (2, 1), (72, 12))


def painted():
    paint = looop.Paint({"LOOOP_COLOR": "1"}, sys.stdout)
    paint.on = True
    return paint


def pane(cols, rows):
    """Return the title and the lines of a pane."""
    return "w1", looop.folded_lines("日本 " * 999, cols)[:rows]


def made_board(asks=1000, workers=100):
    """Return a board with that much on it, of all widths of characters."""
    now = 1_800_000_000.0
    at = looop.utc_text(now - 3600)
    base = {**dict.fromkeys(looop._ASK_KEYS), "kind": "ask", "state": "open", "at": at}
    found = [
        {**base, "n": n, "question": f"日本 question {n}?" * 3, "session": f"w{n % 7}"} for n in range(1, asks + 1)
    ]
    rows = [
        {
            **dict.fromkeys(looop._LISTED),
            **{"id": f"w{n}", "alive": n % 3 > 0, "health": "busy" if n % 3 else "failed", "cmd": "sleep 9"},
            **{"started_at": at, "last_text": at, "cost_usd": n / 7, "kind": "worker"},
        }
        for n in range(workers)
    ]
    panels = {
        "needs": [*looop.need_items(found, now)],
        "workers": [*looop.worker_items(rows, now)],
        "goals": [],
        "beats": [looop.Entry("r1", ("06:10", "acted", "did 👩‍🚀 it", "$0.01"), run="r1")],
    }
    titles = {
        "needs": ("", "NEEDS YOU", *[""] * 3),
        "workers": ("", f"WORKERS {workers}", "HEALTH", "WHERE", "AGE", "IDLE", "$", ""),
        "goals": ("GOALS", *[""] * 3),
        "beats": ("BEATS", *[""] * 3),
    }
    return looop.Board(("looop", "next beat at 06:11:00", "$1.00"), ("the pulse died",), panels, titles)


class Drawing(Case):
    """The board as a function of its rows, of where the person is, and of the size."""

    def drawn(self, board, view, size):
        return looop.screen_lines(looop.drawn_board(board, view, size, pane))

    @heavy
    def test_every_size_is_drawn_whole(self):
        text = "\n".join(f"line {n} " + "x" * n for n in range(99))
        dialogs = (None, looop.Dialog("t", text), looop.Dialog("t", text, wants="y", top=90))
        for board in (made_board(300), made_board(0, 0)):
            for size in SIZES:
                for panel in looop.PANELS:
                    more = (*dialogs[1:], looop.Dialog("", prompt="reply", typed="é" * 300))
                    for dialog in (None, *(more if panel == "needs" else ())):
                        view = looop.View(panel=panel, zoom=panel == "beats", dialog=dialog, command="looop ls")
                        lines = self.drawn(board, view, size)
                        self.assertEqual(len(lines), size[1])
                        self.assertLessEqual(max(map(looop.visible_width, lines)), size[0])

    def test_a_dialog_shows_every_character_to_the_last(self):
        text = "".join(chr(0x4E00 + n) if n % 9 == 0 else chr(33 + n % 90) for n in range(3000))
        for size in ((80, 24), (60, 15), (20, 8), (250, 70)):
            seen, dialog, last = "", looop.Dialog("t", text, wants="y"), 0
            lines, height = looop.dialog_lines(dialog, *size)
            for top in range(0, len(lines), height):
                last = min(top, len(lines) - height)
                shown = self.drawn(made_board(0, 0), looop.View(dialog=dialog.replace(top=last)), size)
                seen += "".join(line.strip() for line in shown[2 : 2 + height][top - last :])
            self.assertEqual(seen, text, size)

    def test_the_chosen_row_is_in_sight_and_stays_chosen(self):
        board = made_board()
        view = looop.View().moved(board, 700)
        self.assertIn("▸ 701 ? question", "\n".join(self.drawn(board, view, (80, 24))))
        fewer = board.replace(panels={**board.panels, "needs": board.panels["needs"][300:]})
        self.assertEqual(view.item(fewer).value["n"], 701)
        gone = board.replace(panels={**board.panels, "needs": board.panels["needs"][:10]})
        self.assertEqual(view.item(gone).value["n"], 10)
        self.assertIsNone(looop.View(panel="goals").item(board))
        found = view.replace(find="question 12?")
        self.assertEqual([item.value["n"] for item in found.items(board, "needs")], [12])

    def test_without_colours_attributes_tell_what_is_chosen(self):
        board = made_board(3, 3)
        screen = looop.drawn_board(board, looop.View(), (80, 24), pane)
        rows = looop.shown_rows(screen, coloured=False)
        self.assertFalse([row for row in rows if "\x1b[3" in row or "38;5" in row or "48;5" in row])
        self.assertIn("\x1b[0;7m▸", "".join(rows))

    def test_rows_are_written_where_they_differ(self):
        rows = looop.Rows()
        screen = looop.Screen(20, 4)
        for shown in (["a", "b", "c"], ["a", "x", "c"], ["a"], ["a", "b"]):
            screen.feed(rows.changes(shown).encode())
            self.assertEqual([line for line in looop.screen_lines(screen) if line], shown)
        self.assertEqual(rows.changes(["a", "b"]), "")
        self.assertNotIn("a", rows.changes(["a", "z"]))

    def test_keys_offer_what_they_can_do(self):
        text = "\n".join("xy" * 20 for _ in range(30))
        for size, dialog, last in (
            ((80, 50), looop.Dialog("t", text), "q back"),
            ((80, 20), looop.Dialog("t", text), "q back  ↑↓ scroll"),
            ((80, 20), looop.Dialog("", prompt="looop pause [2h WHY]", typed="z" * 90), "⏎ do it  esc leave"),
            ((80, 20), looop.Dialog("", wants="y runs: looop kill w1"), "y yes  n no"),
        ):
            lines = self.drawn(made_board(3, 3), looop.View(dialog=dialog), size)
            self.assertEqual(lines[-1].strip(), last)
            self.assertIn(dialog.prompt + " zzz" if dialog.prompt else dialog.wants, lines[-2])

    def test_keys_are_read_however_they_are_cut(self):
        typed = b"a\x1b[A\x1bOB\x1b[200~x\x1b[Ay\r\x1b[201~\xc3\xa9\t\x1b[Z\x01"
        wanted = [("a", False), ("up", False), ("down", False), ("x\x1b[Ay\r", True), ("é", False)]
        wanted += [("tab", False), ("S-tab", False), ("C-a", False)]
        for size in (1, 2, 3, 99):
            reader, keys = looop.KeyReader(), []
            for at in range(0, len(typed), size):
                keys += reader.read(typed[at : at + size])
            self.assertEqual(keys, wanted, size)
        self.assertEqual(reader.read(b"\x1b"), [])
        self.assertEqual(reader.read(reader.release(), last=True), [("esc", False)])


class Notifications(Case):
    def test_what_rises_is_told_once_in_the_terminals_own_words(self):
        self.profile()
        forms = (
            ({"TERM": "xterm"}, b"\x1b]9;looop: ask 1: "),
            ({"TERM": "xterm-kitty"}, b"\x1b]99;;looop: ask 1: "),
            ({"TERM": "foot"}, b"\x1b]777;notify;looop;ask 1: "),
            ({"LOOOP_NOTIFY_OSC": "99", "TMUX": "x"}, b"\x1bPtmux;\x1b\x1b]99;;looop: ask 1: "),
            ({"LOOOP_NOTIFY_OSC": "0"}, b""),
        )
        profiles = [looop.open_profile({**self.env, **more}, "looop.py") for more, _ in forms]
        looop.prepare(profiles[0])
        risen = [looop.Risen(profile) for profile in profiles]
        self.assertEqual({news() for news in risen}, {b""})
        looop.new_ask(profiles[0], "ask", question="a;b\x1b[2J")
        for news, (_, begin) in zip(risen, forms):
            told = news()
            self.assertTrue(told.startswith(begin) and bool(told) == bool(begin), told)
            self.assertNotIn(b"a;b", told)
            self.assertNotIn(b"\x1b[2J", told)
            self.assertEqual(news(), b"")

    def test_asks_that_were_there_before_are_not_read_again(self):
        self.profile()
        profile = looop.open_profile({**self.env, "TERM": "xterm"}, "looop.py")
        looop.prepare(profile)
        looop.new_ask(profile, "ask", question="old")
        news = looop.Risen(profile)
        looop.new_ask(profile, "ask", question="new")
        with unittest.mock.patch.object(looop, "read_ask", wraps=looop.read_ask) as read:
            self.assertIn(b"ask 2: new", news())
        self.assertEqual([call.args[1] for call in read.call_args_list], [2])

    def test_quiet_hours_tell_at_their_end(self):
        self.profile()
        profile = looop.open_profile({**self.env, "TERM": "xterm"}, "looop.py")
        looop.prepare(profile)
        news, end = looop.Risen(profile), time.time() + 3600
        with unittest.mock.patch.object(looop.Profile, "quiet_until", lambda profile, now: end if now < end else 0.0):
            looop.new_ask(profile, "ask", question="a")
            self.assertEqual((news(), news()), (b"", b""))
            with unittest.mock.patch.object(time, "time", lambda: end):
                self.assertIn(b"ask 1: a", news())
                self.assertEqual(news(), b"")


class OnATerminal(Case):
    """The program itself, in a terminal."""

    def top(self, cols=80, rows=24, verb="top", **env):
        terminal = Terminal(cols, rows)
        self.addCleanup(terminal.close)
        terminal.run(self.command(verb), {**self.env, "TERM": "xterm-256color", **env}, self.home)
        terminal.wait_text("NEEDS YOU")
        return terminal

    def leave(self, terminal, code=0):
        self.assertEqual(terminal.end(), code)
        import termios

        self.assertEqual((terminal.state(), termios.tcgetattr(terminal.slave), terminal.flags()), terminal.first)

    def test_a_proposal_is_shown_to_the_byte_and_approved_by_its_digest(self):
        self.profile(goals={"a": "0\n"})
        self.replies({"move": "shell", "command": "printf done > ran", "reversible": False, "journal": "x"})
        self.tick()
        terminal = self.top()
        terminal.wait_text("◆ proposal")
        terminal.type(b"\x1b[200~ay\x1b[201~a")  # a paste presses no key
        terminal.wait_text("y runs: looop approve 1 ")
        self.assertIn("$ printf done > ran", terminal.text())
        terminal.resize(60, 15)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.wait(
            lambda: len(terminal.text().split("\n")[0]) <= 60 and "y runs" in terminal.text(), "a smaller box"
        )
        terminal.type(b"n")
        terminal.wait(lambda: "y runs" not in terminal.text(), "no box")
        self.assertEqual(json.loads(self.looop("asks", "--json"))[0]["state"], "open")
        terminal.type(b"ay")
        terminal.wait_text("$ looop approve 1 ")
        terminal.wait_text("nothing: the loop goes on")
        terminal.type(b"q")
        self.leave(terminal)

    def test_keys_run_the_verbs_and_say_so(self):
        self.profile()
        profile = looop.open_profile(self.env, "looop.py")
        looop.prepare(profile)
        looop.new_ask(profile, "ask", question="which?", options=["main", "release"])
        looop.new_ask(profile, "ask", question="second")
        terminal = self.top()
        for keys, shown in (
            (b"?", "show a proposal to the byte"),
            (b"q", "which?"),
            (b"rmain\r", "$ looop answer 1 -- main"),
            (b"jnno, not this\r", "$ looop reject 2 -- 'no, not this'"),
            (b"p\r", "$ looop pause"),
            (b"", "‖ paused"),
            (b"/third\r", "/third  $ looop pause"),
            (b"w", "─ looop why now"),
        ):
            terminal.type(keys)
            terminal.wait_text(shown)
        self.assertEqual([ask["answer"] for ask in looop.read_asks(profile)], ["main", "rejected: no, not this"])
        terminal.process.send_signal(signal.SIGTERM)
        self.leave(terminal, 130)

    @heavy
    def test_nothing_is_written_while_nothing_changes(self):
        self.profile()
        terminal = self.top()
        profile = looop.open_profile(self.env, "looop.py")
        terminal.wait_read()
        before, reader = None, looop.Reader(profile, painted())
        for _ in range(50):
            reader.look()
            board = reader.board(2_000_000_000.0)
            rows = looop.shown_rows(looop.drawn_board(board, looop.View(), (80, 24), pane), True)
            self.assertIn(before, (None, rows))
            before = rows
        self.assertFalse(reader.look())
        terminal.type(b"q")
        self.leave(terminal)

    def test_it_stops_and_comes_back(self):
        self.profile()
        os.symlink(which("bash"), os.path.join(self.bin, "sh-job")) if not os.path.exists(
            f"{self.bin}/sh-job"
        ) else None
        terminal = Terminal(80, 24)
        self.addCleanup(terminal.close)
        terminal.run(["bash", "--norc", "-i"], {**self.env, "TERM": "xterm", "PS1": "PROMPT "}, self.home)
        terminal.wait_text("PROMPT")
        terminal.type(b"looop top; echo le''ft $?\r")
        terminal.wait_text("NEEDS YOU")
        terminal.type(b"\x1a")
        terminal.wait(lambda: "Stopped" in terminal.text() and not terminal.screen.alt, "a stop")
        terminal.type(b"fg\r")
        terminal.wait(lambda: "NEEDS YOU" in terminal.text() and terminal.screen.alt, "top again")
        terminal.type(b"q")
        terminal.wait(lambda: not terminal.screen.alt, "the end")
        terminal.type(b"exit\r")
        terminal.process.wait(120)
