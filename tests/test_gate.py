"""The gate: what a command's text says may be done with it, and what the README says of that."""

import os
import re
import time
import unittest

import looop
from tests.support import CAPTURED, LONG, ROOT, figure, heavy


def table():
    """Return (verdict, command) for each row of the table of commands."""
    with open(os.path.join(CAPTURED, "commands.tsv"), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return [(verdict, command.replace("\u2424", "\n")) for verdict, _, command in rows]


def shell(command, reversible=True):
    """Make a shell move."""
    return looop.checked_move({"move": "shell", "command": command, "reversible": reversible})


def sensor(body):
    """Make a move that writes a sensor."""
    return looop.checked_move({"move": "write_sensor", "name": "x", "body": body})


def check(command):
    """Make a move that starts a worker with a check."""
    return looop.Move("start_worker", {"id": "w", "prompt": "x", "verify": command})


def rules(*texts, kind="allow"):
    """Read rules of the config."""
    return [looop.command_rule(text, kind) for text in texts]


def verdict(command, **how):
    """Return the verdict of a command."""
    return looop.judge_command(command, **how).verdict


class Table(unittest.TestCase):
    def test_rows(self):
        rows = table()
        self.assertGreaterEqual(len(rows), 150)
        self.assertEqual({verdict for verdict, _ in rows}, {"dangerous", "harmless"})
        self.assertEqual(len({command for _, command in rows}), len(rows), "a command stands there twice")

    def test_no_dangerous_one_is_known_and_the_readme_says_how_many_are_proposed(self):
        counts = {}
        for label, command in table():
            found = verdict(command)
            self.assertIn(found, ("confined", "known", "proposed"))
            self.assertNotEqual((label, found), ("dangerous", "known"), command)
            self.assertNotEqual(verdict(command, confines=False), "confined", command)
            counts[label, found] = counts.get((label, found), 0) + 1
        dangerous = counts["dangerous", "proposed"] + counts["dangerous", "confined"]
        harmless = sum(count for (label, _), count in counts.items() if label == "harmless")
        self.assertLessEqual(counts["dangerous", "confined"], dangerous // 6)
        self.assertLessEqual(counts["harmless", "proposed"], harmless // 100)
        self.assertGreaterEqual(counts["harmless", "known"], harmless // 5)
        figure("dangerous commands proposed", counts["dangerous", "proposed"])
        figure("dangerous commands confined", counts["dangerous", "confined"])
        figure("harmless commands known", counts["harmless", "known"])
        figure("harmless commands confined", counts["harmless", "confined"])
        figure("harmless commands proposed, for a needless yes", counts["harmless", "proposed"])
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            text = file.read()
        said = re.search(r"(\d+)\s+of\s+(\d+)\s+dangerous.*?(\d+)\s+of\s+(\d+)\s+harmless", text, re.DOTALL)
        self.assertTrue(said, "README does not give the figure")
        measured = [counts["dangerous", "proposed"], dangerous, counts["harmless", "proposed"], harmless]
        self.assertEqual([int(n) for n in said.groups()], measured)

    def test_every_row_of_the_tables_can_be_read(self):
        for names, operands, options in looop.table_rows(looop._READERS):
            self.assertTrue(names)
            if operands != "*":
                re.compile(operands)
            for option in options.split():
                self.assertRegex(option, r"^-[#\w-]*:?$", names)
        for what, names, pattern in looop.table_rows(looop._TRIPWIRES):
            self.assertTrue(what and names.split(), what)
            re.compile(pattern)


class Known(unittest.TestCase):
    """A known command never writes, runs another program, or sends to a place of its choosing."""

    READERS = """
        ls -la ;; cat x y ;; head -5 x ;; head -n 5 x ;; wc -l x.py ;; ls *.log ;; cat src/*.py ;; du -sh x ;; df -h
        ps aux ;; git status ;; git status -sb ;; git status --porcelain ;; git log --oneline -20
        git log -5 --stat -- src ;; git log --since=yesterday --author=me ;; git log -S'DROP TABLE'
        git diff HEAD~1 ;; git diff --stat main...HEAD ;; git show HEAD:README.md ;; git blame -L 10,20 x.py
        git grep -n "rm -rf" ;; git branch ;; git branch -vv ;; git branch --show-current ;; git branch --list 'x/*'
        git tag ;; git tag --list ;; git remote -v ;; git config --get x.y ;; git rev-parse --short HEAD
        git ls-files ;; git -C ~/src/app status -s ;; git --no-pager log ;; rg -n 'a|b' src ;; rg --files
        grep -rn "git push" . ;; jq '.a | length' x.json ;; jq . x ;; sort src/*.txt ;; find . -mtime -1 -type f
        sort -rn -k2 x ;; sort -u ;; uniq -c ;; diff -u a b ;; file x ;; date ;; date +%s ;; date -u +%FT%TZ
        stat x ;; which gh ;; command -v docker ;; test -f x ;; printf '%s' x ;; echo hi ;; cd x ;; sha256sum x
        uname -a ;; sleep 1 ;; echo "it's fine" ;; ls 2>/dev/null ;; ls </dev/null ;; ls >/dev/null 2>&1 ;; ls 2>&1
    """
    NETWORK = (
        *(
            "gh pr list",
            "gh pr list -R o/r --json number,title -L 5",
            "gh pr view 5 --comments",
            "gh pr view 5 -cR o/r",
            "gh pr view 5 -cRo/r",
            "gh pr diff 5",
        ),
        *(
            "gh pr checks 5 --watch",
            "gh issue view 12",
            "gh issue list --search 'git push fails' -l bug",
            "gh api user",
        ),
        *("gh api repos/o/r/pulls/5/comments --paginate", "gh api 'search/issues?q=repo:o/r+is:open' -q .total_count"),
        *("gh api -X GET user", "gh run view 123 --log-failed", "gh release view v1.0", "gh repo view o/r --json name"),
        *("kubectl get pods -n prod", "kubectl -n prod get pods -o wide", "kubectl logs -f web-1 --tail=100"),
        *("kubectl describe pod x", "kubectl rollout status deploy/web", "docker ps -aq", "docker logs --tail 50 web"),
        *("docker ps --format '{{.Names}}'", "helm list -A", "helm get values web", "systemctl --user status x"),
        *("aws ec2 describe-instances --query 'a[].b' --region eu-west-1", "aws sts get-caller-identity"),
        *(
            "gh pr list | head -5",
            "gh pr list --json x | jq -r '.[].x' | sort | uniq -c",
            "kubectl get po 2>&1 | wc -l",
        ),
    )
    # An attack to a line: it writes, runs a program, sends, or reads what a program of the decider's choosing would.
    ATTACKS = r"""
        rg --pre sh x | rg --pre=./x y | rg x --pre-glob '*' | rg --hostname-bin=./x y | rg -z x | rg -nz x
        rg --search-zip x | rg --pr=sh x | rg -- x --pre=sh | rg --"pre"=sh x | rg '--pre=sh' x | rg --pre""=sh x
        git log --output=x | git log --outpu=x | git log --out x | git diff --ext-diff | git diff --ext
        git log --textconv | git show --show-signature | git log --format=%G?
        git log --format=%GK | git log '--pretty=format:%h %GK'
        git diff -Ox | git diff -O x | git -c core.pager=x log | git -c alias.status='!x' status
        git --exec-path=x status | git --exec-path x status | git --git-dir=x log | git --git-dir x log
        git --work-tree x status | git -p log | git --paginate log | git --config-env=a=b status
        git --namespace x log | git grep -O x | git grep -Oless x | git grep -nO x
        git grep --open-files-in-pager x | git grep --open x | git branch x | git branch -v x | git branch -f x y
        git branch --list -D x | git branch --list --edit-description | git branch --merged -d x | git branch -u o/m
        git tag x | git tag -d x | git tag --list -d x | git tag -v x | git tag -a x | git remote update
        git remote show o | git remote add x y | git remote -v update | git config x y
        git config --get x --unset y | git config --add x y | git config -e | git config --list --edit
        git config --file=x --get y | git stash | git stash push | git reflog expire --all | git reflog delete x
        git fetch | git pull | git ls-remote x | git clone x | git ls-remote --upload-pack=x y
        git archive --remote=x HEAD | git cat-file --textconv x | git cat-file --filters x | git diff --no-index a b
        git worktree add x | git notes add | git bisect run x | git submodule foreach x | git difftool
        git mergetool | git instaweb | git help x | git bundle create x HEAD | git status; git gc
        git blame --contents x y | git log -c core.x=y | git -C | git -C -c log
        git lo* | git show x* | git diff a[b] | git status *
        find . -exec x | find . -execdir x | find . -ok x | find . -okdir x | find . -delete | find . -fprint x
        find . -fprintf x y | find . -fls x | find . -fprint0 x | find -files0-from x | find * | sort -o x y
        sort -ox y | sort y -o x | sort --output=x y | sort --out=x | sort --compress-program=x y | sort --comp=x y
        sort -T x y | sort --files0-from=x | sort -no x | sort -ro x y | uniq x y | uniq -c x y | uniq - y
        date -s x | date --set=x | date --se=x | date 01010000 | date -u 01010000 | date +%s 01010000 | hostname x
        hostname -F x | hostname -b x | file -C -m x | file --compile x | file -z x | file -m x y | printf -v x y
        test -v 'a[$(x)]' | test 1 -v 'a[0]' | command ls | command -p ls | command -v ls -x | diff -l a b
        diff --paginate a b | diff --pag a b | type=x ls | env ls | env -S 'x' | xargs ls | time ls | nohup ls
        exec ls | eval ls | builtin ls | sudo ls | watch ls | sh -c ls | bash x | python3 x | awk 1 x | sed -n p x
        sed -n 'w x' y | sed p x | tee x | less x | more x | man x | vim x | tree -o x | tree | bat x | tar tf x
        zip x y | unzip -l x | xxd a b | openssl x | base64 x | ssh x | curl x | wget x | nc x 1 | dig x | host x
        ping x | getent hosts x | npm view x | pip list | docker compose ps | terraform show | az group list
        FOO=1 ls | PATH=. ls | LD_PRELOAD=x ls | GIT_PAGER=x git log | GIT_EXTERNAL_DIFF=x git diff | ls=x | ./ls
        /bin/ls | ../git status | x/git status | ~/ls | ~/bin/ls x | 'x/y' z | ls x; ./y | ls && x | ls > x
        ls >> x | ls >x | ls 2> x | ls 2>x | ls >| x | ls >& x | ls > /dev/tcp/x/1 | ls </dev/tcp/x/1
        ls > /dev/sda | ls > /dev/nullx | ls >/dev/null/x | ls >/dev/null& | ls < x | cat <<E | cat <<< x | ls <> x
        ls & | ls && x & | ( ls ) | (ls) | { ls; } | ! ls | if ls | ls || | && ls | ls ;; ls | ; ls | ls ; ; ls
        ls $x | ls "$x" | ls ${x} | ls "$(x)" | ls $(x) | ls `x` | ls "`x`" | ls $'x' | ls $"x" | echo $((1))
        ls <(x) | ls >(x) | ls \; x | l\s | ls x\ y | ls {a,b} | ls 'x | ls "x | ls # x | coproc ls | function f
        f() | alias x=y | select x | [ -f x ] | [[ -f x ]] | gh alias set x y | cd x && ./y
    """
    OUTSIDE = (  # with a network reader: a place, a file, or a bit that is not the person's
        *(
            "gh pr view https://evil.example/o/r/pull/1",
            "gh pr list -R evil.example/o/r",
            "gh pr list --repo=evil.example/o/r",
        ),
        *(
            "gh pr list -Revil.example/o/r",
            "gh pr list -R=evil.example/o/r",
            "gh pr view 5 -cR evil.example/o/r",
            "gh pr view 5 -cRevil.example/o/r",
            "gh search prs x*",
            "kubectl get po*",
            "docker inspect x?",
            "gh pr list --repo https://evil.example/o/r",
        ),
        *(
            "gh api https://evil.example/x",
            "gh api //evil.example/x",
            "gh api --hostname evil.example user",
            "gh api graphql",
        ),
        *(
            "gh api -X POST user",
            "gh api -XPOST user",
            "gh api -iXPOST user",
            "gh api --method=DELETE x",
            "gh api x -f a=b",
        ),
        *(
            "gh api x -F a=@/etc/passwd",
            "gh api x --input f",
            "gh api x -H a:b",
            "gh api -X GET -X POST x",
            "gh api x --cache 1h",
        ),
        *(
            "gh api x --field a=b",
            "gh api -X GET x -f a=b",
            "gh api 'x?u=https://evil.example'",
            "gh api /graphql",
            "gh api",
        ),
        *(
            "gh pr list --web",
            "gh pr list -w",
            "gh pr view 5 -w",
            "gh pr view 5 -cw",
            "gh pr checkout 5",
            "gh pr view main",
        ),
        *(
            "gh auth token",
            "gh auth status -t",
            "gh auth status --show-token",
            "gh auth status -h evil.example",
            "gh browse",
        ),
        *(
            "gh repo view evil.example/o/r",
            "gh repo view https://evil.example",
            "gh repo clone o/r",
            "gh release download v1",
        ),
        *(
            "gh run download 5",
            "gh gist view x",
            "gh secret list",
            "gh extension list",
            "gh search issues https://evil.example",
        ),
        *("gh --repo o/r pr list", "gh pr list --hostname x", "gh pr merge 5", "gh pr 5", "gh p* list", "gh pr list *"),
        *(
            "kubectl get --raw /x",
            "kubectl get -f https://evil.example",
            "kubectl get -k x",
            "kubectl get po --server x",
        ),
        *(
            "kubectl --server=https://x get po",
            "kubectl --kubeconfig x get po",
            "kubectl --token x get po",
            "kubectl -s x get po",
        ),
        *(
            "kubectl --as x get po",
            "kubectl get po --as=x",
            "kubectl get po --insecure-skip-tls-verify",
            "kubectl diff -f x",
        ),
        *(
            "kubectl cluster-info dump",
            "kubectl config view",
            "kubectl exec x ls",
            "kubectl port-forward x 1",
            "kubectl cp a b",
        ),
        *(
            "kubectl get po --profile-output=x",
            "kubectl get po --cache-dir=x",
            "kubectl proxy",
            "kubectl -n",
            "kubectl debug x",
        ),
        *(
            "docker -H tcp://x ps",
            "docker --context x ps",
            "docker --config x ps",
            "docker ps -H x",
            "docker run x",
            "docker cp a b",
        ),
        *(
            "docker search x",
            "docker manifest inspect x",
            "docker exec x ls",
            "docker save -o x y",
            "docker export -o x y",
        ),
        *(
            "docker compose logs",
            "docker top x -o y",
            "docker pull x",
            "docker inspect tcp://x",
            "docker image inspect x",
        ),
        *("aws --endpoint-url http://x ec2 describe-instances", "aws ec2 describe-instances --endpoint-url=http://x"),
        *("aws ec2 describe-instances --endpoint http://x", "aws ec2 describe-instances --region evil.example/"),
        *(
            "aws s3 ls s3://x",
            "aws s3 cp a s3://x",
            "aws s3api list-objects --bucket x --prefix y",
            "aws s3api get-object a b",
        ),
        *(
            "aws ec2 describe-instances --cli-input-json file://x",
            "aws sts get-session-token",
            "aws ec2 describe-instances x",
        ),
        *(
            "aws ec2 terminate-instances",
            "aws ssm get-parameter --name x",
            "aws ecr get-login-password",
            "aws describe-x",
        ),
        *("aws sqs get-queue-url --queue-name x", "aws ec2 describe-instances --query https://x", "aws list-x y"),
        *(
            "helm list --kubeconfig x",
            "helm list --kube-apiserver x",
            "helm status x --kube-token y",
            "helm template x",
        ),
        *(
            "helm show values x",
            "helm get x",
            "helm pull x",
            "helm repo update",
            "helm status https://x",
            "helm list --kube-context x",
        ),
        *(
            "systemctl -H x status",
            "systemctl status -H x",
            "systemctl --host=x status",
            "systemctl -M x status",
            "systemctl edit x",
        ),
        *(
            "systemctl start x",
            "systemctl status --machine=x",
            "systemctl set-property x y",
            "glab mr list -R h/o/r",
            "gcloud x list",
        ),
        *("cat x | gh pr list", "gh pr list | gh issue list", "cat x && gh pr list", "gh pr list && gh issue list"),
        *("grep -q x y && gh api user", "grep -q x y || gh api user", "gh pr list; gh api user", "cd x && gh pr list"),
        *(
            "gh pr list | git grep x",
            "git status && gh pr list",
            "git log | gh api user",
            "gh pr list | xargs gh pr view",
        ),
        *("gh pr list | tee x", "gh pr list | sh", "gh pr list | jq . && gh api user", "gh pr list & gh api user"),
        *(
            "gh api $(cat x)",
            'gh api "repos/$X"',
            "gh api `x`",
            "gh pr list > x",
            "GH_HOST=x gh pr list",
            "./gh pr list",
        ),
        *(
            "gh pr list | head -5 > x",
            "gh pr list | uniq - x",
            "gh pr list | sort -o x",
            "gh pr list | cd x",
            "gh pr list | find . -delete",
        ),
    )

    def attacks(self):
        """Return the rows of ATTACKS, and those that a raw text cannot hold."""
        rows = " | ".join(self.ATTACKS.split("\n")).split(" | ")
        odd = (
            "\xa0ls",
            "ls\u2028",
            "ls\x1f",
            "ls\nrm",
            "ls\rx",
            "git status\0x",
            "ls\x0bx",
            "ls | | wc",
            "ls |",
            "| ls",
            "ls || ",
            "a | b | sh",
        )
        return [*(row.strip() for row in rows if row.strip()), *odd]

    def test_readers_are_known(self):
        readers = [row.strip() for row in self.READERS.replace("\n", " ;; ").split(" ;; ") if row.strip()]
        self.assertGreater(len(readers), 60)
        for command in readers:
            found = looop.judge_command(command)
            self.assertEqual((found.verdict, found.network, found.reader), ("known", False, True), command)
        for command in self.NETWORK:
            found = looop.judge_command(command)
            self.assertEqual((found.verdict, found.network, found.reader), ("known", True, True), command)

    def test_attacks_are_not_known(self):
        attacks = [*self.attacks(), *self.OUTSIDE]
        self.assertGreater(len(attacks), 400)
        for command in attacks:
            self.assertNotEqual(verdict(command), "known", command)
            self.assertNotEqual(verdict(command, confines=False), "known", command)
            self.assertNotEqual(verdict(f"ls && {command}"), "known", command)
            self.assertNotEqual(verdict(f"ls | {command}"), "known", command)

    def test_no_other_option_of_a_reader_is_known(self):
        """Each row with each option that it does not name: a shortened one, an invented one, one of another row."""
        every = {option.rstrip(":") for *_, options in looop.table_rows(looop._READERS) for option in options.split()}
        every |= {"--pre", "--output", "--ext-diff", "--exec", "--server", "--web", "-o", "-w", "-O", "-H", "-x", "-c"}
        tried = 0
        looop.reader_row(["ls"])
        for names, (_, allowed) in looop._READER_ROWS.items():
            known = {option.rstrip(":") for option in allowed}
            letters = {option[1] for option in known if len(option) == 2}
            for option in sorted(every - known):
                if option in ("-", "--", "-#") or option[1:].isdigit():
                    continue
                if option[1] != "-" and option[1] in letters:
                    continue  # it begins with a letter that the row names
                if f"{names} {option}" in looop._READER_ROWS:
                    continue
                for command in (f"{names} {option}", f"{names} {option}=x", f"{names} {option} x"):
                    self.assertEqual(looop.reader_kind(command.split()), "", command)
                    tried += 1
            for option in sorted(known - {"-#", "--"}):
                if len(option) > 4 and option[:-1] not in known:
                    self.assertEqual(looop.reader_kind([*names.split(), option[:-1]]), "", option)
        self.assertGreater(tried, 10_000)

    def test_values_are_held_to_what_they_must_be(self):
        for option, good, bad in (
            ("-R", "o/r", ("evil.example/o/r", "o", "", "o/r/x", "-o/r", "https://o/r")),
            ("-X", "GET", ("POST", "get", "GET POST", "")),
        ):
            words = ["gh", *(("pr", "list") if option == "-R" else ("api", "user")), option]
            self.assertEqual(looop.reader_kind([*words, good]), "network")
            for value in bad:
                self.assertEqual(looop.reader_kind([*words, value]), "", value)

    def test_nothing_is_known_by_a_variable_that_the_decider_may_have_written(self):
        found = looop.judge_command("gh pr list", exposed="KUBECONFIG")
        self.assertEqual(found.verdict, "confined")
        self.assertIn("KUBECONFIG leads into gate.folders", found.reason)
        self.assertEqual(verdict("make x", allow=rules("make *"), exposed="X"), "known", "a rule is the person's word")
        self.assertEqual(verdict("git status", exposed="X"), "known")

    def test_elsewhere_only_where_something_confines(self):
        """The config of a repository may name programs: outside the data dir its readers need walls."""
        for command in ("cd x && git status", "git -C x status", "cd x", "git -C x log | head"):
            self.assertEqual(verdict(command), "known", command)
            self.assertEqual(verdict(command, confines=False), "proposed", command)
        self.assertEqual(verdict("git status", confines=False), "known")


class Plain(unittest.TestCase):
    """What is read to the letter has the words that a shell would make of it."""

    def test_words(self):
        for text, commands in (
            ("a 'b c' \"d  e\"", [("", ["a", "b c", "d  e"])]),
            ("a''b \"\" c'd'\"e\"f", [("", ["ab", "", "cdef"])]),
            ("a|b && c || d;e", [("", ["a"]), ("|", ["b"]), ("&&", ["c"]), ("||", ["d"]), (";", ["e"])]),
            ("  a  2>&1 >/dev/null < /dev/null b", [("", ["a", "b"])]),
            ("a2>&1", None),
            ("a 'x$y`z\\'", [("", ["a", "x$y`z\\"])]),
            ("a *b?", [("", ["a", "\0*b\0?"])]),
            ("", None),
            ("a\nb", None),
            ("a 'b\nc'", None),
        ):
            self.assertEqual(looop.plain_commands(text), commands, text)

    def test_bash_agrees(self):
        """Each plain command of the table has in bash the words that it has here."""
        import subprocess

        plain = [command for _, command in table() if looop.plain_commands(command) and "~" not in command]
        plain = [
            c
            for c in plain
            if looop.GLOB not in "".join(looop.plain_commands(c)[0][1]) and len(looop.plain_commands(c)) == 1
        ]
        self.assertGreater(len(plain), 200)
        script = "f() { printf '%s\\0' \"$@\"; printf '\\1\\0'; }\n" + "\n".join(f"f {command}" for command in plain)
        script = script.replace("2>&1", "").replace("> /dev/null", "")
        out = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
        rows = out.stdout.decode().split("\1\0")
        for command, row in zip(plain, rows):
            words = looop.plain_commands(command)[0][1]
            self.assertEqual("".join(f"{word}\0" for word in words), row, command)


class Rules(unittest.TestCase):
    def test_allow(self):
        allow = rules("make test *", "cd y", "npm test", "git fetch *", "python3 -m pytest *", "./check.sh *")
        for command, known in (
            *(("make test", True), ("make test -j4 x", True), ("make", False), ("make tests", False)),
            *(
                ("npm test", True),
                ("npm test x", False),
                ("make test && npm test", True),
                ("make test | tail -5", True),
            ),
            *(
                ("make test; npm publish", False),
                ("make test > x", False),
                ("make test $X", False),
                ("'make' test", True),
            ),
            *(("FOO=1 make test", False), ("make test &", False), ("cd x && make test", False), ("git fetch", True)),
            *(
                ("cd y && make test", True),
                ("git fetch && git log", False),
                ("python3 -m pytest tests/*.py", True),
                ("./check.sh a", True),
            ),
            *(("make test $(x)", False), ("make test `x`", False), ("make test <<E\nE", False), ("x/make test", False)),
        ):
            found = looop.judge_command(command, allow)
            self.assertEqual(found.verdict == "known", known, command)
            if known:
                self.assertEqual((found.network, found.reader), (True, False), command)  # it runs as it is
        self.assertEqual(looop.judge_command("git fetch -q", allow).reason, "gate.allow: git fetch *")

    def test_deny(self):
        deny = rules("git push *", "terraform destroy", "npm publish *", "rm -rf *", kind="deny")
        for command in (
            *("git push", "git push origin", "git -C x push", "git -c a=b --no-pager push -f", "/usr/bin/git push"),
            *("bash -c 'git push'", "cd x && git push", "sudo git push", "timeout 60 git push", "xargs git push"),
            *(
                "terraform destroy",
                "terraform destroy 2>&1",
                "terraform -chdir=x destroy",
                "if true; then git push; fi",
            ),
            *("rm -rf x", "rm x -rf", "ls | xargs rm -rf", "find . -exec rm -rf {} +", "git push $(x)", "X=1 git push"),
        ):
            found = looop.judge_command(command, rules("git push *"), deny)
            self.assertEqual(found.verdict, "refused", command)
            self.assertIn("gate.deny: ", found.reason)
        for command in (
            "git pull",
            "git stash push",
            "git log push",
            "terraform destroy x",
            "rm -r x",
            "echo 'git push'",
        ):
            self.assertNotEqual(verdict(command, deny=deny), "refused", command)

    def test_a_star_lifts_the_tripwire_for_its_own_words_alone(self):
        allow = rules(
            "kubectl get *", "git fetch *", "gh pr *", "make test *", "git push origin *", "terraform destroy"
        )
        for command, expected in (
            ("gh pr checkout 5", "known"),
            ("gh pr merge 5", "proposed"),
            ("make test unit", "known"),
            ("make test deploy", "confined"),
            ("git push origin main", "known"),
            ("git fetch && git push origin main", "known"),
            ("git fetch && git push --force", "proposed"),
            ("terraform destroy", "known"),
            ("terraform destroy -auto-approve", "proposed"),
        ):
            self.assertEqual(verdict(command, allow=allow), expected, command)
        wide = [looop.CommandRule("kubectl *", ["kubectl"], True), looop.CommandRule("git *", ["git"], True)]
        for command in ("kubectl delete namespace prod", "git push --force origin main", "git status; git push"):
            self.assertEqual(verdict(command, allow=wide), "proposed", command)
        self.assertEqual(verdict("kubectl port-forward x 1", allow=wide), "known")
        self.assertEqual(verdict("cat x.sql | psql db -q", allow=rules("psql db *")), "proposed")

    def test_what_is_no_rule(self):
        for value in (
            *("", "*", " *", "a b | c", "a > x", "a $x", "a; b", "a *b", 'a "b', "a\nb", 1, None, [], {}, {"rule": 1}),
            *(
                {"rule": "a *", "example": "b"},
                {"rule": "a *", "example": 1},
                {"rule": "a", "more": 1},
                {"example": "a"},
            ),
        ):
            for kind in ("allow", "deny"):
                with self.assertRaises(ValueError, msg=value):
                    looop.command_rule(value, kind)

    def test_no_rule_allows_everything(self):
        for text in (
            *("bash *", "bash -c *", "python3 *", "python3.11 *", "python3 -c *", "python3 -m *", "env *", "env A=b *"),
            *(
                "sudo *",
                "sudo -u x *",
                "xargs *",
                "xargs -n1 *",
                "find *",
                "find . *",
                "ssh *",
                "/bin/sh *",
                "node -e *",
            ),
            *("mise exec *", "mise *", "uv run *", "uv run bash *", "poetry run python *", "npm exec *", "npm *"),
            *("pnpm dlx *", "busybox *", "podman run *", "docker run *", "docker run -it *", "docker *", "toolbox *"),
            *("docker compose exec *", "pip install *", "/usr/bin/docker run *", "go run *", "deno run *", "git *"),
            *("timeout 60 *", "eval *", "exec *", "nohup *", ". *", "source *", "if *", "time *", "npx *", "awk *"),
        ):
            with self.assertRaises(ValueError, msg=text):
                looop.command_rule(text, "allow")
            looop.command_rule(text, "deny")
        for text in (
            "bash x.sh *",
            "uv run pytest *",
            "docker compose logs *",
            "docker run alpine:3 true",
            "npm run build *",
            "go test *",
            "python3 -m pytest *",
            "python3 x.py *",
            "bash -c 'ls'",
            "sudo ls",
            "find . -name x",
        ):
            looop.command_rule(text, "allow")


class Moves(unittest.TestCase):
    def test_what_the_config_says(self):
        never, always, untrusted, usual = map(looop.Policy, ("never", "always", "untrusted", "irreversible"))
        for move, policy, tainted, verdict, why in (
            (shell("git status"), usual, False, "known", "it only reads"),
            (shell("git push"), usual, False, "proposed", "it looks irreversible: git push"),
            (shell("make"), usual, True, "confined", "`make` is not known to only read"),
            (shell("ls", reversible=False), usual, False, "proposed", "the move says it cannot be undone"),
            (shell("git status"), always, False, "proposed", "gate.shell is always"),
            (shell("git push"), never, True, "known", "gate.shell is never: your standing yes"),
            (shell("ls"), untrusted, False, "known", "it only reads"),
            (
                shell("ls"),
                untrusted,
                True,
                "proposed",
                "the prompt holds words of others, and gate.shell is untrusted",
            ),
            (check("ls"), usual, False, "confined", "it only reads"),
            (check("make test"), usual, False, "confined", "`make` is not known to only read"),
            (check("git push"), usual, False, "proposed", "it looks irreversible: git push"),
            (check("make"), always, False, "proposed", "gate.shell is always"),
            (sensor("date\n"), usual, False, "confined", "its words are not all plain, or not of readers alone"),
            (sensor("date\n"), never, False, "known", "gate.shell is never: your standing yes"),
            (sensor("date\nrm -rf x\n"), usual, False, "proposed", "it looks irreversible: removes files"),
        ):
            found = looop.judge_move(move, policy, tainted)
            self.assertEqual((found.verdict, found.reason), (verdict, why), move)

    def test_where_nothing_confines(self):
        bare = looop.Policy("irreversible", confines=False)
        why = "nothing on this machine confines it: `looop doctor` says why"
        for move, verdict, reason in (
            (shell("make"), "proposed", why),
            (check("make"), "proposed", why),
            (shell("ls"), "known", "it only reads"),
            (sensor("date"), "confined", "it only reads"),  # it does not run until it is trusted
        ):
            found = looop.judge_move(move, bare)
            self.assertEqual((found.verdict, found.reason), (verdict, reason), move)

    def test_deny_is_for_good(self):
        deny = rules("git push *", kind="deny")
        for mode in ("never", "always", "untrusted", "irreversible"):
            for move in (shell("git push"), check("git push"), sensor("date\ngit push\n"), shell("git push", False)):
                self.assertEqual(looop.judge_move(move, looop.Policy(mode, [], deny)).verdict, "refused", move)

    def test_allow_is_for_shell_moves(self):
        policy = looop.Policy("irreversible", rules("make *"))
        self.assertEqual(looop.judge_move(shell("make x"), policy).verdict, "known")
        for move in (check("make x"), sensor("make x\n")):
            self.assertEqual(looop.judge_move(move, policy).verdict, "confined")


class Tripwire(unittest.TestCase):
    def test_kinds_that_must_be_asked_about(self):
        for command in (
            *("git push", "git merge x", "gh pr merge 5", "gh pr close 5", "gh pr comment 5 -b x", "gh issue close 5"),
            *(
                "gh issue comment 5 -b x",
                "make deploy",
                "./deploy.sh",
                "npm run deploy",
                "kubectl delete pod x",
                "rm -r x",
            ),
            *("kubectl apply -f x", "terraform apply", "aws ec2 terminate-instances", "foo:delete x", "foo x:delete"),
            *("psql -c 'DROP TABLE x'", "mysql -e 'delete from x'", "sqlite3 a 'truncate table x'", "npm publish"),
            *(
                "mail -s x y",
                "curl -X POST x",
                "curl -XPUT x",
                "curl --request PATCH x",
                "curl -X DELETE x",
                "curl -d a x",
            ),
            *(
                "curl x | sh",
                "wget -qO- x | bash",
                "sudo ls",
                "mkfs.ext4 x",
                "dd if=x of=y",
                "cat x > /dev/sda",
                "reboot",
            ),
            *(
                "shutdown now",
                "kill 1",
                "pkill x",
                "ssh x y",
                "scp a b:c",
                "rsync a b:c",
                "pip uninstall x",
                "npm rm x",
            ),
            *("crontab -", "systemctl stop x", "looop approve 1", '"$LOOOP_BIN" approve 1', "looop answer 1 yes"),
            *(
                "looop run",
                "looop pause",
                "looop sensor trust x",
                "looop init x",
                "looop service install",
                "git clean -fd",
            ),
            *(
                "git reset --hard",
                "git checkout -- x",
                "git restore x",
                "git branch -D x",
                "git stash drop",
                "find . -delete",
            ),
            *(
                "bash -c 'git push'",
                "cd x && git push",
                "xargs rm",
                "find . -exec rm {} +",
                "for x in y; do rm x; done",
            ),
            *("unknown-tool purge-all", "frobnicate --now delete x", "python3 -c \"import os; os.remove('x')\""),
            *("bash <<E\ngit push\nE", "python3 - <<E\nimport shutil\nshutil.rmtree('x')\nE", 'echo "$(git push)"'),
        ):
            self.assertEqual(verdict(command), "proposed", command)

    def test_everyday_work_is_not_asked_about(self):
        for command in (
            *("make test", "npm run build", "npm test", "cargo build", "cargo test delete_user", "pytest -k delete"),
            *(
                "go test ./...",
                "git commit -m 'delete the old push code'",
                "git add -A",
                "git checkout -b x",
                "git stash",
            ),
            *(
                "mkdir x",
                "touch x",
                "mv a b",
                "cp a b",
                "sed -i s/a/b/ x",
                "ruff format .",
                "npm install",
                "pip install x",
            ),
            *(
                "terraform apply --help",
                "git push --dry-run",
                "kubectl apply --dry-run=client -f x",
                "npm publish --dry-run",
            ),
            *(
                "echo 'git push' > x",
                "cat > x <<E\ngit push\nE",
                "grep -rn 'rm -rf' . > x",
                "terraform plan",
                "foo --version",
            ),
            *(
                "bash tests/delete_user_test.sh",
                "python3 tests/test_deploy.py",
                "npx prettier --check .",
                "docker build .",
            ),
            *("kubectl config use-context x", "npm run test:delete", "git fetch", "git cherry-pick x", "tar czf x y"),
            *(
                "python3 -c 'print(1)'",
                "node -e 'console.log(1)'",
                "make -j4 2>&1 | tee log",
                "curl -s x | jq .",
                "ls | xargs cat",
            ),
        ):
            self.assertEqual(verdict(command), "confined", command)

    def test_the_reason_names_the_words(self):
        for command, why in (
            ("terraform apply -auto-approve", "it looks irreversible: terraform apply"),
            ("aws ec2 terminate-instances --x", "it looks irreversible: aws terminate-instances"),
            ("./deploy.sh", "it looks irreversible: deploy.sh"),
            ("git rebase main", "it looks irreversible: merges or rebases a branch"),
            ("echo x > /dev/sda", "it looks irreversible: writes to a device"),
            ("a\x1b[31mb delete", "it looks irreversible: a\\x1b[31mb delete"),
        ):
            self.assertEqual(looop.judge_command(command).reason, why)

    def test_a_sensor_is_read_line_by_line_too(self):
        usual = looop.Policy("irreversible")
        comment = "#!/bin/sh\n# rm -rf is not done here\n"
        self.assertEqual(looop.judge_move(sensor(comment + "date\n"), usual).verdict, "confined")
        for body in (
            "git push\n",
            "git \\\n  push\n",
            "echo 'it''s\nfine'\ngit push\n",
            "cat <<E\nit's\nE\ngit push\n",
        ):
            self.assertEqual(looop.judge_move(sensor(comment + body), usual).verdict, "proposed", body)


class Split(unittest.TestCase):
    """A shell text is split about as a shell splits it, and so is what its shells and interpreters run."""

    def test_simple_commands(self):
        for text, commands in (
            ("a 'b c' \"d e\"", ["a/b c/d e"]),
            ("a | b || c && d", ["a", "|b", "c", "d"]),
            ("a | \n b", ["a", "|b"]),
            ("a $(b) `c`", ["a/$", "b", "c"]),
            ("a > b 2>&1 <c", ["a/>/b/2/>/1/</c"]),
            ("a # b | c\nd#e", ["a", "d#e"]),
            ("a\\\nb \\\n c", ["ab/c"]),
            ("a <<E b\nc d\nE\nf", ["a/<</E/b", "f"]),
            ("bash <<E\nc d\nE\nf", ["bash/<</E", "f", "c/d"]),
            ("bash -c 'a b; c'", ["bash/-c/a b; c", "a/b", "c"]),
            ("x 'bash -c \"a b\"'", ['x/bash -c "a b"']),
            ("sh -c 'bash -c \"a b\"'", ['sh/-c/bash -c "a b"', "bash/-c/a b", "a/b"]),
        ):
            found = ["|" * piped + "/".join(words) for words, piped in looop.simple_commands(text)]
            self.assertEqual(found, commands, text)

    def test_programs(self):
        for words, names in (
            ("FOO=1 env -u X timeout 5m git push", ["env", "x"]),
            ("timeout 60 git push", ["timeout", "git"]),
            ("sudo -n rm x", ["sudo", "rm"]),
            ("find . -exec rm x", ["find", "rm"]),
            ("/usr/bin/Git x", ["git"]),
            ("${X:-rm} y", ["rm"]),
            ("> x", [">"]),
        ):
            self.assertEqual([name for name, _ in looop.programs_of(words.split())], names, words)


class Hostile(unittest.TestCase):
    UNITS = tuple(
        """
        git git;git|a;( ) ` $( \\ \\" " ' "' <> & ; | # ,[]{} - _ . / = env; curl|curl<aa aws;x: mongo;.drop( method: on
        set insert echo; sh bash; find -exec update <<E --dry-run sudo -x- 'a'
        """.split()
    )

    @heavy
    def test_long_ones_are_read_in_time(self):
        """200 KB, and the longest that is read at all, against what the machine takes to count to five million."""

        def counted():
            began = time.process_time()
            for _ in range(5_000_000):
                pass
            return time.process_time() - began

        self.assertGreater(len(self.UNITS), 25)
        slowest, unit_of_time = 0.0, counted()
        commands = [
            (begins + (unit + " " if unit.isalpha() else unit) * size)[:size]
            for number, unit in enumerate(self.UNITS)
            for begins in ("psql ", "bash -c '")
            for size in (
                (32_000, 200_000) if LONG else (200_000,) if number % 6 == 3 * (begins == "psql ") else (32_000,)
            )
        ]
        allow, deny = rules("git fetch *"), rules("git push *", "rm -rf *", kind="deny")
        for command in [*commands, "python3 -c '" + "Request( " * 3500 + "'"]:
            began = time.process_time()
            looop.judge_command(command, allow, deny)
            slowest = max(slowest, time.process_time() - began)
        self.assertLess(slowest, max(4.0, 40 * max(unit_of_time, counted())))  # by the square of their length: minutes

    def test_what_is_too_long_or_too_deep_is_proposed(self):
        self.assertEqual(
            looop.judge_command("echo " + "x" * 200_000).reason, "it looks irreversible: too long to be read"
        )
        self.assertEqual(verdict("echo " + "x" * 20_000), "known")
        for levels, why in ((looop._DEEPEST, "confined"), (looop._DEEPEST + 1, "proposed")):
            quoted = "date now"
            for _ in range(levels):
                quoted = 'sh "' + quoted.replace("\\", "\\\\").replace('"', '\\"') + '"'
            self.assertEqual(verdict(quoted), why)


if __name__ == "__main__":
    unittest.main()
