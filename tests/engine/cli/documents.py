"""Which document each command prints."""

from __future__ import annotations

from typing import Any

from moi_backup.cli.backup_document import BackupDocument
from moi_backup.cli.diff_document import DiffDocument
from moi_backup.cli.restore_document import PlanDocument, RestoreDocument
from moi_backup.cli.secret_file import KeyDocument
from moi_backup.model.drill import DrillReport
from moi_backup.model.restore_record import RestoreRecord
from moi_backup.operations.bisect import Bisection
from moi_backup.operations.blame import Blame
from moi_backup.operations.check_configuration import CheckedConfiguration
from moi_backup.operations.check_keys import CheckedKeys
from moi_backup.operations.copy_repository import CopyResult, PlannedCopy
from moi_backup.operations.destroy_scope import DestroyedScope
from moi_backup.operations.doctor import Examination
from moi_backup.operations.expire_backups import Expiry
from moi_backup.operations.initialise import Initialised
from moi_backup.operations.list_backups import BackupList, TrashList
from moi_backup.operations.list_drills import DrillList
from moi_backup.operations.list_keys import KeyList
from moi_backup.operations.list_restores import RestoreList
from moi_backup.operations.prune import PrunePlan, PruneResult
from moi_backup.operations.rekey import Rekeyed
from moi_backup.operations.repair import PlannedRepair, RepairResult
from moi_backup.operations.rotate_keys import RotatedKeys
from moi_backup.operations.show_backup import BackupDescription
from moi_backup.operations.status import Status
from moi_backup.operations.sweep import SweepResult
from moi_backup.operations.verify import Verification

DOCUMENTS: dict[str, Any] = {
    "init": Initialised,
    "status": Status,
    "doctor": Examination,
    "config check": CheckedConfiguration,
    "backup": BackupDocument,
    "backups": BackupList,
    "backups --trash": TrashList,
    "show": BackupDescription,
    "verify": Verification,
    "drill": DrillReport,
    "drills": DrillList,
    "copy --dry-run": PlannedCopy,
    "copy": CopyResult,
    "repair --dry-run": PlannedRepair,
    "repair": RepairResult,
    "restore --dry-run": PlanDocument,
    "restore": RestoreDocument,
    "blame": Blame,
    "bisect": Bisection,
    "restores": RestoreList,
    "restores RESTORE_ID": RestoreRecord,
    "diff": DiffDocument,
    "expire": Expiry,
    "undelete": Expiry,
    "prune --dry-run": PrunePlan,
    "prune": PruneResult,
    "sweep": SweepResult,
    "key generate": KeyDocument,
    "key list": KeyList,
    "key check": CheckedKeys,
    "key rotate": RotatedKeys,
    "key rekey": Rekeyed,
    "key export": KeyDocument,
    "key destroy": DestroyedScope,
}
