"""The comparison of `make completeness` reports what one account lacks and what it makes up."""

from completeness import witness
from completeness.compare import Comparison, compare

LOG = """\
10 execve("/bin/sh", ["sh"], 0x7ffd /* 3 vars */) = 0
10 openat(AT_FDCWD</work>, "input", O_RDONLY) = 3</work/input>
10 read(3</work/input>, "text"..., 100) = 4
10 vfork( <unfinished ...>
11 openat(AT_FDCWD</work>, "made", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 4</work/made>
11 write(4</work/made>, "ab", 2) = 2
11 rename("made", "out") = 0
11 write(1<pipe:[7]>, "lost"..., 9) = 4
11 --- SIGPIPE {si_signo=SIGPIPE, si_code=SI_USER, si_pid=11, si_uid=0} ---
11 +++ killed by SIGPIPE +++
10 <... vfork resumed>) = 11
10 unlink("nowhere") = -1 ENOENT (No such file or directory)
10 connect(5<TCP:[9]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
10 +++ exited with 0 +++
"""


def observation():
    return witness.observe(LOG, "/work", "", temporary="/work")


def facts(seen):
    return {str(fact) for fact in seen.facts if not fact.object.startswith("/usr")}


def test_a_log_is_read_into_facts():
    program = next(fact.program for fact in observation().facts if fact.what == "connect")
    assert {
        f"{program}: open /input",
        f"{program}: create /made",
        f"{program}: rename /made -> /out",
        f"{program}: fork ",
        f"{program}: connect 127.0.0.1:80",
    } == {fact for fact in facts(observation()) if " exec " not in fact}


def test_bytes_are_those_of_calls_that_returned_to_the_program():
    moved = {(fact.what, fact.object): amount for fact, amount in observation().bytes.items()}
    assert {("read", "/input"): 4, ("written", "/made"): 2} == moved


def test_equal_accounts_differ_in_nothing():
    seen = len(observation().facts) + len(observation().bytes)
    assert Comparison(seen, seen, [], []) == compare([observation(), observation()], observation())


def test_a_removed_event_is_missed_and_an_invented_one_is_reported():
    told = observation()
    (renamed,) = (fact for fact in told.facts if fact.what == "rename")
    del told.facts[renamed]
    told.add("sh", "unlink", "/etc/passwd")
    compared = compare([observation()], told)
    assert ([str(renamed)], ["sh: unlink /etc/passwd"]) == (compared.missed, compared.invented)


def test_too_few_and_too_many_bytes_are_reported_with_both_figures():
    told = observation()
    (read,) = (fact for fact in told.bytes if fact.what == "read")
    (written,) = (fact for fact in told.bytes if fact.what == "written")
    told.bytes[read], told.bytes[written] = 3, 5
    compared = compare([observation()], told)
    assert [f"{read.program}: bytes read /input (seen 4, captured 3)"] == compared.missed
    assert [f"{read.program}: bytes written /made (seen 2, captured 5)"] == compared.invented


def test_what_differs_between_bare_runs_need_not_be_captured_and_is_not_invented():
    once = observation()
    once.add("sh", "open", "/maybe")
    assert [] == compare([once, observation()], observation()).missed
    assert [] == compare([once, observation()], once).invented
