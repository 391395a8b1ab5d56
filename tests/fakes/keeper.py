"""An agent program that keeps conversations where claude, pi, codex, opencode and gemini keep theirs.

It is called under one of their names, reads lines as messages, and prints all that the conversation has so far. As with
the real ones nothing is kept before the first message, and an id that is taken is refused.
"""

import glob
import json
import os
import sqlite3
import sys
import time
import uuid

NAME = os.path.basename(sys.argv[1])
ARGS = sys.argv[2:]
HOME = os.environ["HOME"]
CWD = os.getcwd()
VALUED = "--settings -e --session-id --resume --session --prompt -i --permission-mode --sandbox --add-dir -c"
VALUED += " --ask-for-approval --approval-mode --allowed-tools --include-directories --allowedTools"


def words():
    """Return the options with their values, and the plain words."""
    options, plain, rest = {}, [], list(ARGS)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return options, plain + rest
        if word in VALUED.split():
            options[word] = rest.pop(0)
            while rest and word == "--allowedTools" and rest[0][:1] != "-":
                options[word] += " " + rest.pop(0)
        elif word[:1] != "-":
            plain.append(word)
    return options, plain


def place(conversation):
    """Return the pattern of where this program keeps a conversation, and where it would keep a new one."""
    slug = CWD.replace("/", "-")
    new = {
        "claude": f"{HOME}/.claude/projects/{slug}/{conversation}.jsonl",
        "pi": f"{HOME}/.pi/agent/sessions/-{slug}--/2026-11-30T14-36-52-899Z_{conversation}.jsonl",
        "codex": f"{HOME}/.codex/sessions/2026/11/30/rollout-2026-11-30T14-35-30-{conversation}.jsonl",
        "gemini": f"{HOME}/.gemini/tmp/{os.path.basename(CWD)}/chats/session-2026-11-30T14-35-{conversation[:8]}.jsonl",
    }[NAME]
    return new


class Database:
    """Messages in a database, as opencode keeps them."""

    def __init__(self, conversation):
        path = f"{HOME}/.local/share/opencode/opencode.db"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.base = sqlite3.connect(path)
        self.base.execute("CREATE TABLE IF NOT EXISTS session (id, parent_id, directory, time_created INTEGER)")
        self.base.execute("CREATE TABLE IF NOT EXISTS message (session_id, text)")
        self.id = conversation

    def add(self, text):
        if not self.id:
            self.id = "ses_" + uuid.uuid4().hex[:26]
            row = (self.id, CWD, int(time.time() * 1000))
            self.base.execute("INSERT INTO session VALUES (?, NULL, ?, ?)", row)
        self.base.execute("INSERT INTO message VALUES (?, ?)", (self.id, text))
        self.base.commit()

    def all(self):
        rows = self.base.execute("SELECT text FROM message WHERE session_id = ? ORDER BY rowid", (self.id,))
        return [row[0] for row in rows]


class File:
    """Messages in a file of JSON lines, whose first says where it was begun."""

    def __init__(self, conversation):
        self.path = place(conversation)

    def add(self, text):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, "a") as file:
            if not file.tell():
                file.write(json.dumps({"type": "session", "cwd": CWD}, separators=(",", ":")) + "\n")
            file.write(json.dumps({"text": text}) + "\n")

    def all(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path) as file:
            return [row["text"] for row in map(json.loads, file) if "text" in row]


def main():
    options, plain = words()
    resumed = options.get("--resume") or "".join(plain[1:2]) * (plain[:1] == ["resume"])
    if NAME == "opencode":
        kept = Database(options.get("--session"))
        first = options.get("--prompt")
    else:
        kept = File(resumed or options.get("--session-id") or str(uuid.uuid4()))
        first = options.get("-i") or (plain[0] if plain and not resumed else None)
        there = glob.glob(glob.escape(kept.path))
        if resumed and not there:
            sys.exit(f"No conversation found with session ID: {resumed}")
        if NAME == "claude" and not resumed and there:
            sys.exit(f"Error: Session ID {options['--session-id']} is already in use.")
    if os.environ.get("SAYS_ARGS"):
        print("args", json.dumps(ARGS), flush=True)
    if first and not os.environ.get("ASKS_FOR_TRUST"):
        with open(first.lstrip("@").replace("Follow the brief in ", "")) as file:
            kept.add("brief " + file.read().split()[-1])
    while True:
        print(f"{NAME} knows", *kept.all(), "|", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        kept.add(line.strip())


main()
