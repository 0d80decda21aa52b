"""What a store refuses is told in words with a remedy, and no secret is ever in it."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import moi_backup
from moi_backup.errors import StorageError
from moi_backup.storage.address import Bucket
from moi_backup.storage.s3 import S3Store
from moi_backup.storage.s3_access import S3Access, read_access
from moi_backup.storage.s3_client import Patience
from tests.engine.storage.faulty_proxy import FaultyProxy
from tests.engine.storage.seaweed import BUCKET, SECRET, ObjectServer

CHECKOUT = Path(moi_backup.__file__).parents[1]
TOKEN = "session-token-nobody-may-see"
QUICK = Patience(connect=1, answer=1, transfer=2, retries=1, first_wait=0.01, longest_wait=0.05, total=5)

Act = Callable[[S3Store, Path], object]
READS: list[Act] = [
    lambda store, _: store.get("files/one"),
    lambda store, _: store.info("files/one"),
    lambda store, _: list(store.list("")),
    lambda store, _: store.local("files/one").__enter__(),
]
WRITES: list[Act] = [
    lambda store, _: store.put("files/one", b"1"),
    lambda store, _: store.create("files/one", b"1"),
    lambda store, folder: store.upload("files/one", _file(folder)),
]


def _file(folder: Path) -> Path:
    path = folder / "upload"
    path.write_bytes(b"1")
    return path


def refusal(act: Act, store: S3Store, folder: Path) -> str:
    """What the user reads; the whole traceback is searched for secrets."""
    with pytest.raises(StorageError) as caught:
        act(store, folder)
    text = "".join(traceback.format_exception(caught.value))
    for secret in (SECRET, TOKEN, "AWS4-HMAC"):
        assert secret not in text
    return str(caught.value)


@pytest.mark.parametrize("act", [*READS, *WRITES])
def test_a_missing_bucket_is_no_empty_store(s3_server: ObjectServer, tmp_path: Path, act: Act):
    """Every call says that the bucket does not exist, none takes its objects for missing."""
    store = S3Store(Bucket("nowhere", "moi"), scratch=tmp_path, access=s3_server.access(), patience=QUICK)
    text = refusal(act, store, tmp_path)
    assert "s3://nowhere/moi: the bucket does not exist" in text
    assert "correct the address (MOI_REPOSITORY)" in text


@pytest.mark.parametrize("act", WRITES)
def test_a_reader_that_writes_is_told_which_rights_it_needs(s3_server: ObjectServer, tmp_path: Path, act: Act):
    """The rights are named as policies name them; deleting is not among them."""
    store = S3Store(Bucket(BUCKET, "moi"), scratch=tmp_path, access=s3_server.access("reader"), patience=QUICK)
    text = refusal(act, store, tmp_path)
    assert "not allowed to (AccessDenied)" in text
    assert "s3:PutObject" in text
    assert "never need s3:DeleteObject" in text


def test_a_writer_that_deletes_is_told_that_deleting_is_a_right_of_its_own(s3_server: ObjectServer, bucket, tmp_path):
    """Credentials without that right are the recommended ones, so the remedy is to use others."""
    store = S3Store(bucket, scratch=tmp_path, access=s3_server.access("writer"), patience=QUICK)
    store.put("files/one", b"1")
    assert "Use credentials that are allowed s3:DeleteObject" in refusal(
        lambda store, _: store.delete("files/one"), store, tmp_path
    )
    assert store.get("files/one") == b"1"


@pytest.mark.parametrize("act", [*READS, *WRITES])
@pytest.mark.parametrize(
    ("user", "secret", "reason"),
    [("admin", "wrong-" + SECRET, "the secret key is wrong"), ("nobody", SECRET, "does not know the access key")],
)
def test_wrong_credentials_are_named(s3_server: ObjectServer, tmp_path, act: Act, user: str, secret: str, reason: str):
    """An unknown key and a wrong secret are told apart, for HEAD too, whose answer does not say."""
    access = s3_server.access(user, secret=secret)
    text = refusal(act, S3Store(Bucket(BUCKET, "moi"), scratch=tmp_path, access=access, patience=QUICK), tmp_path)
    assert reason in text
    assert "AWS_SECRET_ACCESS_KEY" in text


@pytest.mark.parametrize(
    ("status", "code", "reason", "remedy"),
    [
        (403, "RequestTimeTooSkewed", "clock and the store's are too far apart", "NTP"),
        (400, "ExpiredToken", "session token has expired", "temporary credentials"),
        (301, "", "in another region", "AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "in another region", "AWS_REGION"),
        (501, "NotImplemented", "does not know this kind of request", "conditional writes"),
        (507, "InsufficientStorage", "store is full", "quota"),
        (403, "SomethingNew", "not allowed to (SomethingNew)", "s3:PutObject"),
        (418, "SomethingNew", "refused with status 418 (SomethingNew)", "the S3 store that is meant"),
    ],
)
@pytest.mark.parametrize("act", [READS[0], *WRITES])
def test_every_refusal_says_what_to_do(
    s3_server: ObjectServer, proxy: FaultyProxy, tmp_path, act: Act, status: int, code: str, reason: str, remedy: str
):
    """The answer repeats the signed request with the session token, as real ones do; the error holds its code alone."""
    proxy.choose = lambda _: (status, code)
    access = replace(s3_server.access(endpoint=proxy.endpoint), session_token=TOKEN)
    text = refusal(act, S3Store(Bucket(BUCKET, "moi"), scratch=tmp_path, access=access, patience=QUICK), tmp_path)
    assert reason in text
    assert remedy in text


class TestAccess:
    def test_the_usual_variables_are_read(self):
        """The endpoint for S3 comes before the general one, the region before the default region."""
        access = read_access(
            {
                "AWS_ENDPOINT_URL": "https://general",
                "AWS_ENDPOINT_URL_S3": "https://s3",
                "AWS_REGION": "ap-south-1",
                "AWS_DEFAULT_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "KEY",
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_SESSION_TOKEN": TOKEN,
                "AWS_ALLOW_HTTP": "TRUE",
            }
        )
        assert access == S3Access("https://s3", "ap-south-1", "KEY", SECRET, TOKEN, allow_http=True)
        assert read_access({"AWS_ENDPOINT_URL_S3": "", "AWS_DEFAULT_REGION": "eu-west-1"}) == S3Access(
            region="eu-west-1"
        )

    def test_its_repr_holds_no_secret(self):
        """Neither of the key nor of the endpoint, which may carry one."""
        access = S3Access("https://user:hunter2@host", key_id="KEY", secret_key=SECRET, session_token=TOKEN)
        assert all(secret not in repr(access) for secret in ("hunter2", SECRET, TOKEN))

    @pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    def test_missing_credentials_are_named_before_anything_is_sent(self, tmp_path: Path, missing: str):
        """No metadata service is asked and no anonymous request is tried."""
        environ = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": SECRET}
        del environ[missing]
        with pytest.raises(StorageError, match=f"{missing} is not set") as caught:
            S3Store(Bucket(BUCKET), scratch=tmp_path, access=read_access(environ))
        assert "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in caught.value.remedy

    def test_rows_do_not_travel_unencrypted_unless_someone_says_so(self, tmp_path: Path):
        """http:// needs AWS_ALLOW_HTTP, except to this machine itself."""
        plain = S3Access("http://minio.lan:9000", key_id="KEY", secret_key=SECRET)
        with pytest.raises(StorageError, match=r"http://minio\.lan is not encrypted") as caught:
            S3Store(Bucket(BUCKET), scratch=tmp_path, access=plain)
        assert "AWS_ALLOW_HTTP=true" in caught.value.remedy
        for access in (replace(plain, allow_http=True), replace(plain, endpoint="http://127.0.0.1:1")):
            S3Store(Bucket(BUCKET), scratch=tmp_path, access=access)

    @pytest.mark.parametrize(
        "endpoint", ["host:9000", "ftp://h", "https://", f"https://k:{SECRET}@h", "https://h:x", "//h"]
    )
    def test_an_endpoint_that_is_no_address_is_refused_without_being_repeated(self, tmp_path: Path, endpoint: str):
        """A name and password in it would reach logs."""
        access = S3Access(endpoint, key_id="KEY", secret_key=SECRET)
        with pytest.raises(StorageError, match="no address of a server") as caught:
            S3Store(Bucket(BUCKET), scratch=tmp_path, access=access)
        assert SECRET not in str(caught.value)


def test_the_library_is_imported_for_buckets_alone(tmp_path: Path):
    """Settings, the workspace and a repository in a folder work where obstore is not even installed."""
    script = """
import sys
sys.modules["obstore"] = None  # importing it fails
from pathlib import Path
from moi_backup.errors import StorageError
from moi_backup.operations.workspace import Workspace
from moi_backup.settings import read_settings
def store(address):
    environ = {"MOI_REPOSITORY": address, "AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": "S"}
    return Workspace(read_settings(environ, cwd=Path(sys.argv[1]), effective_uid=1)).store()
store("folder").put("files/one", b"1")
try:
    store("s3://lake/moi")
except StorageError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True, timeout=60, cwd=CHECKOUT
    )
    assert "s3://lake/moi), and the package obstore is not installed" in done.stdout
    assert "extra s3" in done.stdout
