"""What Colab has and other places do not: a disk that outlives the machine."""

from pathlib import Path

from helpers.errors import CourseError

MOUNT = Path("/content/drive")


def drive_folder(name: str = "gpt2-course") -> Path:
    """A folder on your Google Drive, which Colab asks your leave to use; it is made if it is not there.

    Raises:
        CourseError: this is not Colab, or leave was not given.
    """
    keep = "set DRIVE = False to keep the run on this machine"
    try:
        from google.colab import drive
    except ImportError as error:
        raise CourseError(f"there is no Google Drive here, because this is not Colab: {keep}") from error
    try:
        drive.mount(str(MOUNT))
        folder = MOUNT / "MyDrive" / name
        folder.mkdir(parents=True, exist_ok=True)
    except Exception as error:  # Colab raises errors of its own, which nothing else has
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CourseError(f"Google Drive was not mounted ({reason}): allow it when Colab asks, or {keep}") from error
    return folder
