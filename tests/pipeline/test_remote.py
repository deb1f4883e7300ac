"""Data and weights are shared through a DVC remote, a folder or S3; one that fails costs nothing here."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.imports import ROOT
from tests.walkthrough import follow
from tests.workspace import Workspace, cloned, copy

pytestmark = pytest.mark.slow
POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start an S3 server with a bucket `team`; return the environment of a user who has its keys."""
    import boto3  # `make test-all` installs it

    port, setup = free_port(), "4"  # calls below, which need no keys
    command = [str(Path(sys.executable).parent / "moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path_factory.mktemp("s3") / "log").open("w") as log:
        environment = os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": setup}
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        deadline, answered = monotonic() + 60, False
        while not answered:
            assert monotonic() < deadline
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                answered = True
            sleep(0.1)
        where = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"}
        nobody = where | {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
        users = boto3.client("iam", **nobody)
        users.create_user(UserName="member")
        users.put_user_policy(UserName="member", PolicyName="all", PolicyDocument=POLICY)
        keys = users.create_access_key(UserName="member")["AccessKey"]
        boto3.client("s3", **nobody).create_bucket(Bucket="team")
        yield {
            "AWS_ENDPOINT_URL": where["endpoint_url"],
            "AWS_DEFAULT_REGION": where["region_name"],
            "AWS_MAX_ATTEMPTS": "1",  # a refusal is told at once
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        }
        server.terminate()
        server.wait()


@pytest.fixture
def workspace(miniature: Workspace, tmp_path: Path) -> Workspace:
    """Return the miniature with its cache, in a folder of its own."""
    return copy(miniature, tmp_path / "here")


def test_the_page_on_remotes_with_a_folder(workspace: Workspace, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--bare", str(workspace.folder), str(tmp_path / "origin")], check=True)
    workspace.run("git", "remote", "add", "origin", str(tmp_path / "origin"))
    workspace.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    page, others = ROOT / "docs" / "remote.md", "dvc repro --pull"
    typed = follow(workspace, page, lambda typed: typed == others, lambda typed: typed.replace("/mnt", str(tmp_path)))
    assert len(typed) == 3

    clone = cloned(tmp_path / "origin", tmp_path / "there")
    said = follow(clone, page, lambda typed: typed != others)[others]
    assert "Running stage" not in said
    assert clone.outputs() == workspace.outputs()


def test_a_bucket_is_a_remote_for_those_with_its_keys(
    workspace: Workspace, bucket: dict[str, str], tmp_path: Path
) -> None:
    workspace.run("dvc", "remote", "add", "--default", "team", "s3://team/descent")
    workspace.run(
        "dvc", "remote", "modify", "team", "endpointurl", bucket["AWS_ENDPOINT_URL"]
    )  # as docs/remote.md says
    workspace.commit("Share data and weights")
    refused = {"AWS_ACCESS_KEY_ID": "stranger"}, "Forbidden: An error occurred"
    down = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}, "Could not connect to the endpoint URL"
    for wrong, told in (refused, down):
        if "AWS_ENDPOINT_URL" in wrong:
            workspace.run("dvc", "remote", "modify", "--local", "team", "endpointurl", wrong["AWS_ENDPOINT_URL"])
        said = workspace.run("dvc", "push", status=255, **bucket | wrong)
        assert f"ERROR: unexpected error - {told}" in said
        assert "Traceback" not in said
    workspace.run("dvc", "remote", "modify", "--local", "--unset", "team", "endpointurl")
    workspace.run("dvc", "push", **bucket)
    assert workspace.ran() == set()

    clone = cloned(workspace.folder, tmp_path / "there")
    assert "Forbidden" in clone.run("dvc", "pull", status=1, **bucket | {"AWS_ACCESS_KEY_ID": "stranger"})
    assert "Running stage" not in clone.run("dvc", "repro", "--pull", **bucket)
    assert clone.outputs() == workspace.outputs()
    assert clone.run("git", "status", "--short") == ""
