"""Everything that is done with an encrypted repository, with secrets that cannot be mistaken for anything else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

from moi_assets.definitions import PROJECT
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.embedded import EmbeddedServer, create_database
from moi_backup.postgres.programs import wheel_folder
from moi_backup.repository.key_text import MasterKey, generate_master, parse_key
from moi_backup.settings import read_settings
from tests.orchestration.platform import settings_of
from tests.orchestration.secrets.processes import recorded

DAY = "2025-10-05"
PASSWORD = "p@ss/w0rd of the keeper: 7Qd"
CANARY = "canary campaign 7f3a9c that only the key's holder knows"


@dataclass
class Scenario:
    """`folder` holds all that is written; `outputs` is all that was printed, by command."""

    server: EmbeddedServer
    folder: Path
    outputs: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    secrets: dict[str, bytes] = field(default_factory=dict[str, bytes])
    environ: dict[str, str] = field(default_factory=dict[str, str])

    def prepare(self) -> None:
        """Databases, a role with a password, folders for all that is written, and programs that record their caller."""
        for name in ("home", "tmp", "records", "programs", "held", "dagster", "files"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        shutil.copy(PROJECT / "dagster.yaml", self.folder / "dagster")
        with psycopg.connect(self.server.url(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE secrets TEMPLATE application")
            admin.execute(f"CREATE ROLE keeper SUPERUSER LOGIN PASSWORD '{PASSWORD}'".encode())
        for name in ("secrets_restored", "secrets_dagster"):
            create_database(self.server, name)
        with psycopg.connect(self.url("secrets"), autocommit=True) as live:
            live.execute("UPDATE meta_import_data SET campaign_name = %s WHERE day = %s", (CANARY, DAY))
        self._programs()
        self.environ = self._environment()

    def url(self, database: str) -> str:
        """The address of a database with the keeper's password in it."""
        return self.server.url(database).replace(
            self.server.url(database).partition("://")[2].partition("@")[0], f"keeper:{quote(PASSWORD, safe='')}"
        )

    @property
    def workspace(self) -> Workspace:
        """The engine over what was made here, with the keys that are given now."""
        names = {name: value for name, value in self.environ.items() if name.startswith("MOI_")}
        return Workspace(read_settings(names, cwd=self.folder, effective_uid=os.geteuid()))

    def remember(self, name: str, secret: str) -> str:
        """A secret as text, and the key in it as bytes."""
        self.secrets[name] = secret.encode()
        if secret.startswith("moi-key"):
            key = parse_key(secret, number=1, origin=name)
            assert isinstance(key, MasterKey)
            self.secrets[f"the bytes of {name}"] = key.secret
        return secret

    def moi(self, *arguments: str, code: int = 0, **environ: str) -> bytes:
        """Run the command line; what it printed."""
        program = Path(sys.executable).with_name("moi-backup")
        return self._run(program, *arguments, code=code, cwd=self.folder, **environ)

    def dagster(self, *arguments: str, code: int = 0, **environ: str) -> bytes:
        """Run Dagster's command line on the platform's definitions."""
        program = Path(sys.executable).with_name("dagster")
        return self._run(program, *arguments, "-m", "moi_assets.definitions", code=code, cwd=PROJECT, **environ)

    def remember_scope_keys(self) -> None:
        """The unwrapped keys of the repository as it is now, which must be nowhere either."""
        for key in self.workspace.open().ring.keys.values():
            self.secrets[f"scope key {key.name}"] = key.secret
            self.secrets[f"the digest key of {key.scope}"] = key.digest

    def _run(self, program: Path, *arguments: str, code: int, cwd: Path, **environ: str) -> bytes:
        environment = {name: value for name, value in {**self.environ, **environ}.items() if value}
        done = subprocess.run(
            [program, *arguments], env=environment, cwd=cwd, capture_output=True, timeout=150, check=False
        )
        self.outputs.append((f"the output of {program.name} {' '.join(arguments)}", done.stdout + done.stderr))
        assert done.returncode == code, (arguments, done.stderr[-3000:])
        return done.stdout

    def _programs(self) -> None:
        real, records = wheel_folder() / "pginstall" / "bin", self.folder / "records"
        for name in ("pg_dump", "pg_restore"):
            recorded(self.folder / "programs" / name, real=str(real / name), records=records)
        vault = f"cat {self.folder / 'held' / 'second'}"
        recorded(self.folder / "programs" / "vault", real=vault, records=records)

    def _environment(self) -> dict[str, str]:
        self.remember("the password", PASSWORD)
        self.remember("the password in a URL", quote(PASSWORD, safe=""))
        self.remember("the password of Dagster's database", self.server.url().partition("@")[0].rpartition(":")[2])
        self.remember("a value of a scope", CANARY)
        return {
            "PATH": f"{self.folder / 'programs'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            **settings_of(self.url("secrets"), self.folder),
            "MOI_KEY_1": self.remember("the first master key", generate_master(os.urandom)),
            "NEW_DATABASE_URL": self.url("secrets_restored"),
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "DAGSTER_POSTGRES_URL": self.server.url("secrets_dagster"),
            "DAGSTER_FILES": str(self.folder / "files"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }


def play(scene: Scenario) -> None:
    """The whole life of the repository: kept, looked at, restored, its keys changed, and what goes wrong with it."""
    scene.moi("init")
    scene.moi("backup", "--full", "--verbose", "--reason", "the first")
    scene.dagster("job", "execute", "-j", "full_backup")
    scene.dagster("asset", "materialize", "--select", "meta_import_data_restored", "--partition", DAY)
    look(scene)
    restore(scene)
    change_keys(scene)
    fail(scene)


def look(scene: Scenario) -> None:
    """All that only reads."""
    scene.moi("verify", "--read-data")
    scene.moi("query", "latest", "SELECT count(*) FROM meta_import_data", "--json")
    for command in (["backups"], ["show", "latest"], ["status"], ["config", "check"], ["doctor"]):
        scene.moi(*command, code=4 if command == ["status"] and _is_warned(scene) else 0)
        scene.moi(*command, "--json", code=4 if command == ["status"] and _is_warned(scene) else 0)


def restore(scene: Scenario) -> None:
    """Into another database, and in place."""
    place = ["--to", "source", "--in-place", "--on-conflict", "replace", "--reason", "a test"]
    scene.moi("restore", "latest", "--to", "env:NEW_DATABASE_URL", "--verbose")
    scene.moi("restore", "latest", "--table", "meta_import_data", "--days", DAY, *place, "--json")


def change_keys(scene: Scenario) -> None:
    """Rotate to a key that a program prints, export, rekey, prune; the first master key is retired."""
    scene.remember_scope_keys()
    second = scene.folder / "held" / "second"
    scene.moi("key", "generate", "--to", str(second))
    scene.remember("the second master key", second.read_text().strip())
    scene.environ["MOI_KEY_2"] = f"command:{scene.folder / 'programs' / 'vault'}"
    scene.moi("key", "rotate", "--verbose")
    export = scene.folder / "held" / "export"
    scene.moi("key", "export", "--scope", "financial", "--to", str(export), "--json")
    scene.remember("the export", export.read_text().strip())
    scene.moi("key", "rekey", "--scope", "financial")
    scene.moi("key", "list", "--json")
    scene.moi("key", "check", "--verbose")
    scene.moi("prune", "--grace", "0")
    scene.remember_scope_keys()


def fail(scene: Scenario) -> None:
    """What goes wrong, as talkative as can be."""
    stranger = scene.remember("a stranger's key", generate_master(os.urandom))
    typo = scene.secrets["the first master key"].decode()[:-2] + "x"
    export = scene.secrets["the export"].decode()
    nowhere = f"postgresql://u:{quote(PASSWORD, safe='')}@127.0.0.1:1/d"
    scene.moi("restore", "latest", "--to", "env:NEW_DATABASE_URL", "--verbose", code=1, NEW_DATABASE_URL=nowhere)
    scene.moi("backup", "--verbose", code=1, MOI_SOURCE_URL=nowhere)
    scene.moi("doctor", "--json", code=1, MOI_SOURCE_URL=nowhere)
    scene.moi("key", "export", "--scope", "nonsense", "--verbose", code=2)
    scene.moi("key", "generate", "--to", str(scene.folder / "held" / "second"), "--verbose", code=2)
    for keys in ({"MOI_KEY_1": stranger}, {"MOI_KEY_1": typo}, {"MOI_KEY_1": "command:false"}, {"MOI_KEY_1": export}):
        scene.moi("backup", "--verbose", code=12, **keys, MOI_KEY_2="")
    scene.dagster("job", "execute", "-j", "full_backup", code=1, MOI_KEY_1=stranger, MOI_KEY_2="")


def _is_warned(scene: Scenario) -> bool:
    """Whether this machine's disk is so full that `status` warns of it."""
    disk = shutil.disk_usage(scene.folder)
    return disk.free / disk.total < 0.1
