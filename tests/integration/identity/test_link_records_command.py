"""Record linkage from a file to merged persons, with the command and the server as processes of their own."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from made_up_records import people, repeated, write_csv

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import load_or_create
from tests.integration.identity.conftest import SECRET, IdentityProcess


def _tell_where_identity_is(state: Path) -> None:
    """What `bihuan up` would leave, for an identity server that runs alone."""
    folder = StateFolder(state)
    secrets = load_or_create(folder.secrets)
    folder.secrets.write_text(folder.secrets.read_text().replace(secrets.cli_secret, SECRET))
    target = f"127.0.0.1:{(state / 'identity.port').read_text()}"
    RunningStack("", {"identity": target}, "system", os.getpid()).write(folder.stack)


async def _link(file: Path, state: Path) -> dict[str, object]:
    arguments = ("identity", "link-records", str(file), "--namespace", "partner.crm", "--id-column", "rec_id", "--json")
    command = [sys.executable, "-m", "bihuan_cli", *arguments, "--state", str(state)]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, object] = json.loads(ended.stdout)
    return found


async def test_records_of_one_person_become_one_person_once(process: IdentityProcess, tmp_path: Path) -> None:
    everyone = people(200, seed=3)
    file = write_csv(tmp_path / "all.csv", [*everyone, *repeated(everyone[:80], seed=4)])
    _tell_where_identity_is(tmp_path)
    first = await _link(file, tmp_path)
    assert first["sent"] == first["links"]
    again = await _link(file, tmp_path)
    assert again["sent"] == first["sent"]
    assert again["model"] == first["model"]

    ids = [f"r-{number}-{copy}" for number in range(80) for copy in "ab"]
    items = [
        pb.ResolveItem(identifiers=[common_pb2.Identifier(namespace="partner.crm", value=record)]) for record in ids
    ]
    results = (await process.stub.BatchResolve(pb.BatchResolveRequest(items=items))).results
    pairs = zip(results[::2], results[1::2], strict=True)
    together = sum(left.person_id == right.person_id != 0 for left, right in pairs)
    assert together > 75
    person_id = next(result.person_id for result in results if result.person_id)
    person = await process.stub.GetPerson(pb.GetPersonRequest(person=common_pb2.PersonRef(person_id=person_id)))
    assert {(edge.evidence.source, edge.evidence.kind) for edge in person.edges} == {
        ("splink", pb.EVIDENCE_KIND_PROBABILISTIC)
    }
    assert len(person.edges) == len({frozenset(edge.keyed_hashes) for edge in person.edges})
