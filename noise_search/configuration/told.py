"""What went wrong, in one line, with the nearest known name where a key is unknown."""

import difflib
import re

from hydra.errors import HydraException

from noise_search.run.settings import GROUPS as RESULT_GROUPS
from noise_search.run.settings import NAMED, Settings

KEYS = (*Settings.__dataclass_fields__, *NAMED)
GROUPS = (*RESULT_GROUPS, "logger", "experiment")


def explain(error: BaseException) -> str:
    """The error in one line, with the nearest known name where a key is unknown."""
    text = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename}: {error.strerror}"
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
            text += "; choose a folder that can be written, hydra.run.dir=..."
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None and str(cause) not in text:
        text += f" {cause}"
    text = re.sub(r"\s+", " ", text.split("Config search path:")[0]).strip() or type(error).__name__
    text = text.removeprefix("In 'config': ")
    unknown, new = re.search(r"Could not override '([^']+)'", text), re.search(r"full_key: (\S+)", text)
    if unknown and new and new.group(1).startswith(f"{unknown.group(1)}."):
        text = f"unknown option {new.group(1)!r}: where another _target_ has it, +{new.group(1)}=... adds it"
    elif unknown and unknown.group(1).split(".")[0] in GROUPS and "." in unknown.group(1):
        group, key = unknown.group(1).split(".", 1)
        text = f"unknown option {unknown.group(1)!r}: {group} has no {key!r}; see configs/{group}/"
    elif unknown:
        name = unknown.group(1)
        near = difflib.get_close_matches(name.split(".")[0].split("@")[0], (*KEYS, *GROUPS), 1)
        text = f"unknown option {name!r}" + (f"; did you mean {near[0]!r}?" if near and near[0] != name else ".")
        text += f" Top-level keys: {', '.join(KEYS)}; groups: {', '.join(GROUPS)}"
    return text
