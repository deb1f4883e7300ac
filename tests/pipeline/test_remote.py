"""Data and weights are shared through a DVC remote, a folder or S3; one that fails costs nothing here."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import pytest

from tests.imports import ROOT
from tests.walkthrough import follow
from tests.workspace import Workspace, cloned, copy

# What a user of S3 has in the environment; a refusal is told at once.
PLACE = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
STRANGER = {"AWS_ACCESS_KEY_ID": "stranger"}


class Bucket(NamedTuple):
    """A bucket of a server on this machine, and the keys that open it."""

    endpoint: str
    keys: dict[str, str]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """Start an S3 server that asks for keys and forgets everything when it ends."""
    import boto3  # `make test-all` installs it

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    setup = 4  # calls below, which nobody is asked for keys for
    with (tmp_path_factory.mktemp("s3") / "log").open("w") as log:
        environment = os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": str(setup)}
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        wait_for(port)
        endpoint = f"http://127.0.0.1:{port}"
        nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing", "region_name": "us-east-1"}
        users = boto3.client("iam", endpoint_url=endpoint, **nobody)
        users.create_user(UserName="member")
        policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
        users.put_user_policy(UserName="member", PolicyName="all", PolicyDocument=policy)
        made = users.create_access_key(UserName="member")["AccessKey"]
        boto3.client("s3", endpoint_url=endpoint, **nobody).create_bucket(Bucket="team")
        keys = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
        yield Bucket(endpoint, PLACE | keys)
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    deadline = monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert monotonic() < deadline
            sleep(0.1)
        else:
            return


@pytest.fixture
def workspace(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return the miniature with its cache, in a folder of its own."""
    return copy(miniature, tmp_path / "here")


def add(workspace: Workspace, url: str, endpoint: str | None = None) -> None:
    """Name a remote, as docs/remote.md says."""
    workspace.run("dvc", "remote", "add", "--default", "team", url)
    if endpoint:
        workspace.run("dvc", "remote", "modify", "team", "endpointurl", endpoint)
    workspace.commit("Share data and weights")


@pytest.mark.slow
def test_the_page_on_remotes_with_a_folder(workspace: Workspace, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--bare", str(workspace.folder), str(tmp_path / "origin")], check=True)
    workspace.run("git", "remote", "add", "origin", str(tmp_path / "origin"))
    workspace.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    page, others = ROOT / "docs" / "remote.md", "dvc repro --pull"
    typed = follow(
        workspace,
        page,
        skip=lambda typed: typed == others,
        edit=lambda typed: typed.replace("/mnt", str(tmp_path)),
    )
    assert len(typed) == 3

    clone = cloned(tmp_path / "origin", tmp_path / "there")
    said = follow(clone, page, skip=lambda typed: typed != others)[others]
    assert "Running stage" not in said
    assert clone.outputs() == workspace.outputs()


@pytest.mark.slow
def test_a_bucket_is_a_remote_for_those_with_its_keys(workspace: Workspace, bucket: Bucket, tmp_path: Path) -> None:
    add(workspace, "s3://team/descent", bucket.endpoint)
    workspace.environment |= bucket.keys
    workspace.run("dvc", "push")
    clone = cloned(workspace.folder, tmp_path / "there")
    clone.environment |= bucket.keys | STRANGER
    said = clone.run("dvc", "pull", status=1)
    assert "failed to connect to s3 (team/descent/files/md5) - Forbidden" in said
    clone.environment |= bucket.keys
    assert "Running stage" not in clone.run("dvc", "repro", "--pull")
    assert clone.outputs() == workspace.outputs()
    assert clone.run("git", "status", "--short") == ""


@pytest.mark.parametrize(
    ("remote", "told"),
    [("down", "Could not connect to the endpoint URL"), ("refusing", "Forbidden: An error occurred")],
)
@pytest.mark.slow
def test_a_remote_that_fails_is_an_error_and_costs_nothing_here(
    workspace: Workspace, bucket: Bucket, remote: str, told: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    add(workspace, "s3://team/other", nobody if remote == "down" else bucket.endpoint)
    before = workspace.outputs()
    workspace.environment |= bucket.keys | STRANGER
    said = workspace.run("dvc", "push", status=255)
    assert f"ERROR: unexpected error - {told}" in said
    assert "Traceback" not in said
    assert workspace.outputs() == before
    assert workspace.ran() == set()
