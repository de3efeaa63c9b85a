# SPDX-License-Identifier: Apache-2.0
"""Generated hostility: journals, files, peers and descriptors that are not what they should be.

A few of each in the suite; MOESHIFT_HOSTILE=1000 for a long look, MOESHIFT_HOSTILE_SEED to see one again. Each test prints the exit
codes that it saw, the longest run and the most memory.
"""
import collections
import concurrent.futures
import hashlib
import hmac
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import cli
import execution

COUNT = int(os.environ.get("MOESHIFT_HOSTILE", "8"))
SEED = int(os.environ.get("MOESHIFT_HOSTILE_SEED", "1"))
TIMEOUT = 1  # seconds that a rank waits for its peers
GIB = 1 << 30
ODD = ("-1", "18446744073709551616", "4294967296", "1e999", "null", "[]", "{}", '"x"', "0.5", "[[[[", "\\u0000", "\x1b[31m")


class Seen:
    """What runs came to."""

    def __init__(self):
        self.codes, self.seconds, self.memory, self.lock = collections.Counter(), 0.0, 0, threading.Lock()

    def add(self, run):
        with self.lock:
            self.codes[run.code] += 1
            self.seconds = max(self.seconds, run.seconds)
            self.memory = max(self.memory, run.memory)

    def __str__(self):
        codes = ", ".join(f"{count} x exit {code}" for code, count in sorted(self.codes.items()))
        return f"{codes}; longest {self.seconds:.2f} s, most memory {self.memory / 2 ** 20:.0f} MiB"


class Run:
    """One run of the program, with what it took; a sanitizer's build takes more."""

    def __init__(self, words, folder, limit=30, env=None, closed=()):
        words = [cli.PROGRAM, *map(str, words)]
        if closed:
            words = ["sh", "-c", 'exec "$@" ' + " ".join(f"{number}>&-" for number in closed), "sh", *words]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            start = time.monotonic()
            process = subprocess.Popen(words, cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=err)
            self.code, self.memory = self.wait(process, start + limit)
            self.seconds = time.monotonic() - start
            out.seek(0), err.seek(0)
            self.out, self.err = out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace")

    @staticmethod
    def wait(process, end):
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return process.returncode, used.ru_maxrss * 1024
            if time.monotonic() > end:
                process.kill()
                process.wait()
                return "hangs", 0
            time.sleep(0.004)


class Hostile(execution.ExecutionTest):
    def check(self, seen, run, codes, what):
        seen.add(run)
        told = f"{what}: exit {run.code} after {run.seconds:.2f} s: {run.err[-400:]}"
        self.assertIn(run.code, codes, told)
        self.assertLess(run.memory, GIB, told)
        self.assertNotIn("terminate called", run.err, told)
        self.assertNotIn("moeshift: unexpected", run.err, told)
        self.assertFalse([c for c in run.err if ord(c) < 32 and c not in "\n"], told)

    def tell(self, seen):
        print(f"{self.id().split('.')[-1]}: {seen}", file=sys.stderr)

    def contents(self):
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    # Journals

    def interrupted_journal(self):
        """Lines of a run that lost a rank, and of the one that finished it; several waves per layer."""
        words = self.words("--journal", "whole", "--staging-bytes", 32768 * 4)
        self.failed(*words[7:], "--inject", "error:1,3", code=3)
        self.good(*words, "--resume")
        return words, (self.folder / "whole").read_bytes().splitlines(keepends=True)

    @staticmethod
    def sealed(objects):
        """Lines whose checks are right, whatever they say."""
        lines, before = [], ""
        for text in objects:
            before = hashlib.sha256((before + text).encode()).hexdigest()[:8]
            lines.append(f'{text},"check":"{before}"}}\n'.encode())
        return b"".join(lines)

    def forged(self, lines, rng):
        """Another story, told with all checks right."""
        objects = [line.decode()[:line.decode().rindex(',"check":')] for line in lines]
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(objects))
            how = rng.randrange(4)
            if how == 0:
                objects[at], other = objects[rng.randrange(len(objects))], objects[at]
                objects[rng.randrange(len(objects))] = other
            elif how == 1 and len(objects) > 1:
                del objects[at]
            elif how == 2:
                document = json.loads(objects[at] + "}")
                key = rng.choice(list(document))
                document[key] = rng.choice([-1, 0, 1, 3, 4, 5, 2 ** 31, 2 ** 63, "voted", "", [], [[0, 0]], [[5, 1], [5, 2]],
                                            [[2 ** 31, 0]], None, 0.5])
                objects[at] = json.dumps(document, separators=(",", ":"))[:-1]
            else:
                objects[at] = objects[at].replace(rng.choice("0123456789"), rng.choice(ODD), 1)
        return self.sealed(objects)

    def damaged(self, lines, rng):
        """(what was done, bytes, whether the chain shows it)."""
        whole = b"".join(lines)
        i, j = rng.randrange(len(lines) - 1), rng.randrange(len(lines))
        kind = rng.choice(["cut", "flipped", "dropped", "doubled", "swapped", "moved", "forged"])
        if kind == "cut":
            return kind, whole[:rng.randrange(len(whole))], False
        if kind == "flipped":
            at = rng.randrange(len(whole) - 1)
            return kind, whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1:], True
        if kind == "forged":
            return kind, self.forged(lines, rng), False
        changed = list(lines)
        if kind == "dropped":
            del changed[i]
        elif kind == "doubled":
            changed.insert(i, lines[i])
        elif kind == "swapped":
            changed[i], changed[j] = changed[j], changed[i]
        else:
            changed.insert(j, changed.pop(i))
        return kind, b"".join(changed), changed != lines

    def test_journals_that_were_cut_changed_or_forged_end_in_the_right_bytes_or_with_the_line(self):
        words, lines = self.interrupted_journal()
        seen = Seen()
        before = self.contents()
        for seed in range(SEED, SEED + COUNT):
            rng = random.Random(f"journal {seed}")
            kind, text, shown = self.damaged(lines, rng)
            name = "journal"
            (self.folder / name).write_bytes(text)
            run = Run([name if word == "whole" else word for word in (*words, "--resume", "--timeout", 5)], self.folder)
            what = f"seed {seed}, {kind}"
            self.check(seen, run, (2,) if shown else (0, 2), what)
            if run.code == 2:
                self.assertEqual(len(run.err.splitlines()), 1, what)
                self.assertEqual((self.folder / name).read_bytes(), text, f"{what}: the journal was written to")
                self.assertIn("journal", run.err, what)
            else:
                self.assertIn("all right", run.out, what)
            (self.folder / name).unlink()
            self.assertEqual(self.contents(), before, what)
        self.tell(seen)

    # Files

    def torn(self, text, rng):
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(max(1, len(text)))
            how = rng.randrange(5)
            if how == 0:
                text = text[:at]
            elif how == 1:
                text = text[:at] + text[at + rng.randrange(1, 40):]
            elif how == 2:
                text = text[:at] + bytes([rng.randrange(256)]) + text[at + 1:]
            elif how == 3:
                text = text[:at] + rng.choice(ODD).encode() + text[at + rng.randrange(3):]
            else:
                other = rng.randrange(max(1, len(text)))
                text = text[:at] + text[other:other + 64] + text[at:]
        return text

    def test_files_that_were_torn_end_in_an_answer_or_one_line(self):
        self.good("plan", "old.json.jsonl", "--ranks", 4, "--slots", 24, "-o", "result.json", "-q")
        shown = self.good("clusters", "host", "--format", "json")
        self.write("cluster.json", json.dumps(shown.json()["result"].get("cluster", shown.json()["result"])))
        commands = {
            "old.json.jsonl": [("trace", "info", "bad"), ("plan", "bad", "--ranks", 4, "--slots", 24)],
            "old.json": [("moves", "bad", "new.json", "--cluster", "host", "--model", "model.json"), ("report", "bad"),
                         ("export", "bad", "--to", "npy", "-o", "answer"), self.words_of("bad", "new.json")],
            "model.json": [("models", "./bad"), ("moves", "old.json", "new.json", "--cluster", "host", "--model", "./bad")],
            "cluster.json": [("clusters", "./bad"),
                             ("moves", "old.json", "new.json", "--cluster", "./bad", "--model", "model.json")],
            "result.json": [("check", "bad", "result.json"), ("report", "bad", "--format", "html", "-o", "answer")],
        }
        seen = Seen()
        before = self.contents()
        for seed in range(SEED, SEED + COUNT):
            rng = random.Random(f"file {seed}")
            name = rng.choice(list(commands))
            (self.folder / "bad").write_bytes(self.torn(before[name], rng))
            words = rng.choice(commands[name])
            run = Run(words, self.folder)
            what = f"seed {seed}, {name}, {words}"
            self.check(seen, run, (0, 1, 2), what)
            if run.code == 2:
                self.assertEqual((run.out, run.err.count("\n")), ("", 1), f"{what}: {run.err}")
            for gone in ("bad", "answer"):
                (self.folder / gone).unlink(missing_ok=True)
            self.assertEqual(self.contents(), before, what)
        self.tell(seen)

    @staticmethod
    def words_of(old, new):
        return ("execute", old, new, "--cluster", "host", "--model", "model.json", "--timeout", 5)

    def test_with_any_standard_streams_closed_files_are_as_they_are_with_them(self):
        trace = "old.json.jsonl"
        commands = [("plan", trace, "--ranks", 4, "--slots", 24, "-o", "answer"), ("trace", "info", trace),
                    ("trace", "convert", trace, "answer"), ("report", "old.json", "--format", "html", "-o", "answer"),
                    self.words("--journal", "answer"), ("plan", "missing", "-o", "answer"), ("moves", "old.json")]
        seen = Seen()
        before = self.contents()
        for seed in range(SEED, SEED + COUNT):
            rng = random.Random(f"closed {seed}")
            words = rng.choice(commands)
            closed = rng.sample((0, 1, 2), rng.randint(1, 3))
            run = Run(words, self.folder, closed=closed)
            what = f"seed {seed}, {words}, {closed} closed"
            self.check(seen, run, (0, 2, 3), what)
            answer = self.folder / "answer"
            if answer.exists():
                self.assertNotIn(b"moeshift: ", answer.read_bytes(), what)
                answer.unlink()
            self.assertEqual(self.contents(), before, what)
        self.tell(seen)

    # Peers

    TOKEN = b"one word for all ranks"

    def proof(self, who, leader, rank, number):
        text = who + leader + rank + struct.pack("<IQ", number, execution.RANKS)
        return hmac.new(self.TOKEN, text, hashlib.sha256).digest()

    @staticmethod
    def receive(peer, count):
        got = b""
        while len(got) < count:
            piece = peer.recv(count - len(got))
            if not piece:
                raise ConnectionError
            got += piece
        return got

    def join(self, name, number):
        """A rank that knows the token."""
        end = time.monotonic() + 10
        while True:
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect("\0" + name)
                break
            except ConnectionRefusedError:
                peer.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
        peer.settimeout(10)
        leader = self.receive(peer, 40)[8:]
        mine = os.urandom(32)
        peer.sendall(struct.pack("<I", number) + mine + self.proof(b"moeshift rank", leader, mine, number))
        self.receive(peer, 32)
        return peer

    def accept(self, listener):
        """Rank 0 to a rank that comes."""
        peer, _ = listener.accept()
        peer.settimeout(10)
        mine = os.urandom(32)
        peer.sendall(b"MSHFTv2\n" + mine)
        answer = self.receive(peer, 68)
        number = struct.unpack("<I", answer[:4])[0]
        peer.sendall(self.proof(b"moeshift lead", mine, answer[4:36], number))
        return peer

    @staticmethod
    def frame(kind, number, payload, length=None):
        return struct.pack("<IIQ", kind, len(payload) if length is None else length, number) + payload

    def payload(self, rng):
        return rng.choice([b"", b"0", b"1", b"-1", b"{}", b"[1,2,3]", b"\x1b[2Jred\n", b"\xff\xfe", os.urandom(rng.randrange(200)),
                           rng.choice(ODD).encode(), b"9" * rng.randrange(1, 40), struct.pack("<I", rng.randrange(1 << 32)),
                           b"".join(struct.pack("<I", 1) + b"0" for _ in range(execution.RANKS)), b"\0" * rng.randrange(5000)])

    def misbehave(self, peer, rng, answers):
        """One way not to be a peer; @param answers the kind of frame that the other side waits for."""
        how = rng.choice(["silence", "hang up", "noise", "long", "endless", "values", "values", "values", "rounds", "fail",
                          "missing", "bye", "drip"])
        if how == "hang up":
            peer.close()
        elif how == "noise":
            peer.sendall(os.urandom(rng.randrange(1, 4000)))
        elif how == "long":
            peer.sendall(self.frame(rng.randrange(6), 0, b"x" * 100, rng.choice([2 ** 32 - 1, (16 << 20) + 1, (256 << 20) + 1])))
        elif how == "endless":
            for number in range(40):
                peer.sendall(self.frame(answers, number, b"7" * (8 << 20)))
        elif how == "values":
            for number in range(rng.randint(1, 12)):
                peer.sendall(self.frame(answers, number, self.payload(rng)))
        elif how == "rounds":
            for _ in range(rng.randint(1, 300)):
                peer.sendall(self.frame(answers, rng.choice([0, 0, 1, 2, rng.randrange(1 << 64)]), self.payload(rng)))
        elif how in ("fail", "missing", "bye"):
            for _ in range(rng.randint(1, 4)):
                peer.sendall(self.frame({"fail": 2, "missing": 3, "bye": 4}[how], rng.randrange(3), self.payload(rng)))
        elif how == "drip":
            for letter in self.frame(answers, 0, b"0123456789" * 40):
                peer.sendall(bytes([letter]))
                time.sleep(0.05)
        return how

    def against_leader(self, name, rng):
        peers = []
        ways = []
        for number in range(1, execution.RANKS):
            peers.append(self.join(name, number))
        for peer in peers:
            try:
                ways.append(self.misbehave(peer, rng, 0))
            except OSError:
                ways.append("was hung up on")
        return ways, peers

    def against_rank(self, listener, rng):
        peer = self.accept(listener)
        try:
            return [self.misbehave(peer, rng, 1)], [peer]
        except OSError:
            return ["was hung up on"], [peer]

    def one_peer(self, seed, seen):
        rng = random.Random(f"peer {seed}")
        name = f"moeshift-hostile-{os.getpid()}-{seed}"
        rank = rng.choice([0, 0, 1])
        ways = []

        def play():
            try:
                if rank == 0:
                    ways.extend(self.against_leader(name, rng))
                    return
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind("\0" + name)
                    listener.settimeout(10)
                    listener.listen()
                    ways.extend(self.against_rank(listener, rng))
            except OSError as error:
                ways.append(repr(error))

        player = threading.Thread(target=play)
        player.start()
        environment = {"MOESHIFT_RANK": str(rank), "MOESHIFT_WORLD": str(execution.RANKS), "MOESHIFT_TOKEN": self.TOKEN.decode()}
        words = self.words("--rank-processes", "--rendezvous", f"unix:@{name}", "--timeout", TIMEOUT)
        run = Run(words, self.folder, env=environment)
        player.join(60)
        for peer in ways[1] if len(ways) > 1 else ():
            peer.close()
        self.check(seen, run, (2, 3), f"seed {seed}, rank {rank}, {ways[:1]}")
        return run

    def test_peers_that_know_the_token_and_do_not_keep_to_the_protocol_do_no_harm(self):
        seen = Seen()
        before = self.contents()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(self.one_peer, seed, seen) for seed in range(SEED, SEED + COUNT)]:
                done.result()
        self.assertEqual(self.contents(), before)
        self.tell(seen)
