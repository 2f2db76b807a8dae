"""A release says the same everywhere, its changelog begins with it, and what GitHub reads is as GitHub reads it."""

import datetime
import re

import pytest
import yaml

import course
from helpers.files import repository_root

ROOT = repository_root()
GITHUB = ROOT / ".github"
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def entries() -> list[tuple[str, str]]:
    """The versions of the changelog with their dates, as they stand there."""
    return re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", text("CHANGELOG.md"), flags=re.MULTILINE)


# ---------------------------------------------------------------------- one version


def test_the_newest_entry_of_the_changelog_is_the_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", course.__version__)
    assert entries()[0][0] == course.__version__


def test_the_changelog_goes_back_in_time_and_has_the_form_it_says():
    versions = [tuple(map(int, version.split("."))) for version, _ in entries()]
    dates = [datetime.date.fromisoformat(date) for _, date in entries()]
    assert versions == sorted(versions, reverse=True) and dates == sorted(dates, reverse=True)
    assert len(set(versions)) == len(versions) and dates[0] <= datetime.date.today() + datetime.timedelta(days=1)
    headings = re.findall(r"^## .*$", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert headings[0] == "## [Unreleased]" and len(headings) == 1 + len(entries())
    kinds = set(re.findall(r"^### (.*)$", text("CHANGELOG.md"), flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_citation_has_what_the_format_demands_and_the_version():
    cited = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited) and cited["cff-version"] == "1.2.0"
    assert cited["authors"] and all({"name", "family-names", "given-names"} & set(one) for one in cited["authors"])
    assert cited["version"] == course.__version__ and str(cited["date-released"]) == entries()[0][1]
    assert cited["license"] == "MIT" and "MIT License" in text("LICENSE")
    assert text("README.md").startswith(f"# {cited['title']}\n")


# ---------------------------------------------------------------------- what GitHub reads


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_and_the_version_stands_beside_it(path):
    used = re.findall(r"^ *(?:- )?uses: (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert used
    for one in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", one), one


def test_an_action_is_pinned_to_one_commit_in_all_workflows():
    used = {line for path in WORKFLOWS for line in re.findall(r"uses: (\S+@\S+)", path.read_text(encoding="utf-8"))}
    assert len({line.partition("@")[0] for line in used}) == len(used)


def test_the_tests_are_given_more_time_than_they_take_before_they_leave_things_out():
    jobs = yaml.safe_load(text(".github/workflows/tests.yml"))["jobs"]
    enough = int(re.search(r"^ENOUGH=(\d+)", text(".ci/run"), flags=re.MULTILINE)[1])
    assert 60 * jobs["tests"]["timeout-minutes"] >= enough + 1800
    assert all(isinstance(job["timeout-minutes"], int) for job in jobs.values())


def test_all_notebooks_are_answered_wrongly_once_a_week_and_five_at_every_change():
    """As docs/design.md says."""
    weekly = yaml.safe_load(text(".github/workflows/tests.yml"))["jobs"]["answered"]
    assert "'schedule'" in weekly["if"] and "'workflow_dispatch'" in weekly["if"]
    assert weekly["steps"][-1] == {"run": "python docs/tools/run_answered.py both"}
    assert "run_answered.py both --wrong-only 04,05,06,07,09\n" in text(".ci/run")
    assert "(04 to 07, and 09) with every\n" in text("docs/design.md")


def test_dependabot_looks_at_every_file_of_packages_and_at_the_actions():
    asked = yaml.safe_load(text(".github/dependabot.yml"))
    assert asked["version"] == 2
    by_kind = {one["package-ecosystem"]: one for one in asked["updates"]}
    assert set(by_kind) == {"pip", "github-actions"}
    assert all(one["schedule"]["interval"] == "monthly" and len(one["groups"]) == 1 for one in by_kind.values())
    folders = {path.parent for path in [*ROOT.glob("*requirements.txt"), *ROOT.glob("docs/**/*requirements.txt")]}
    assert set(by_kind["pip"]["directories"]) == {
        f"/{path.relative_to(ROOT).as_posix().strip('.')}" for path in folders
    }


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one_that_github_shows(path):
    """Its rules, of "Syntax for issue forms" and "Syntax for GitHub's form schema" in GitHub's documentation."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "title", "labels", "body"}
    kinds = [field["type"] for field in form["body"]]
    assert set(kinds) <= {"markdown", "input", "textarea", "dropdown", "checkboxes"} and set(kinds) != {"markdown"}
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    ids, labels = [field["id"] for field in asked], [field["attributes"]["label"] for field in asked]
    assert len(set(ids)) == len(ids) and len(set(labels)) == len(labels)
    assert all(isinstance(one, str) and re.fullmatch(r"[\w-]+", one) for one in ids)
    for field in form["body"]:
        about = field["attributes"]
        if field["type"] == "markdown":
            assert about["value"].strip() and "id" not in field and "validations" not in field
            continue
        assert isinstance(field.get("validations", {}).get("required", False), bool)
        if field["type"] == "dropdown":
            options = about["options"]
            assert options and len(set(options)) == len(options) and all(isinstance(one, str) for one in options)
            assert "None" not in options, "GitHub adds this one itself"


def test_there_is_a_form_for_a_wrong_statement_a_bug_and_a_machine():
    assert {path.stem for path in FORMS} == {"wrong_statement", "bug", "where_it_ran"}
    assert "CHANGELOG.md" in text(".github/pull_request_template.md")


# ---------------------------------------------------------------------- CONTRIBUTING.md


def test_every_file_and_test_that_the_steps_name_is_there():
    steps = text("CONTRIBUTING.md")
    named = set(re.findall(r"(?:tests|docs|course|helpers|data|notebooks)/[\w./-]*\w\.\w+", steps))
    assert len(named) > 30
    assert {name for name in named if not (ROOT / name).is_file()} == set()
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", steps)}
    assert {link for link in links if not (ROOT / link).is_file()} == set()
    (test,) = re.findall(r"`(test_\w+)`", steps)
    assert f"def {test}(" in text("tests/test_recipes.py")


def test_every_command_that_the_steps_name_is_there():
    from course.__main__ import COMMANDS

    commands = set(re.findall(r"-m course ([\w-]+)", text("CONTRIBUTING.md")))
    assert commands and commands <= set(COMMANDS)
