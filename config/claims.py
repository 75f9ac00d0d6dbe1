"""Looks up what the parser took for true: that files are there and fit to be used, that users exist."""

import os

from config.accounts import NoAccountError, find_account
from config.env_file import read_env_file
from config.report import Claim, ClaimKind, Report
from config.secrets import SecretError, exposure, read_secret


def verify(claims: tuple[Claim, ...], report: Report) -> None:
    for claim in claims:
        match claim.kind:
            case ClaimKind.ENV_FILE:
                _verify_env_file(claim, report)
            case ClaimKind.SECRET_FILE:
                _verify_secret(claim, report)
            case ClaimKind.USER:
                _verify_user(claim, report)


def _verify_env_file(claim: Claim, report: Report) -> None:
    _, problems = read_env_file(claim.subject)
    for problem in problems:
        if problem.line:
            report.file_error(problem)
        else:
            report.error(claim.place, f"{claim.subject} {problem.message}")


def _verify_secret(claim: Claim, report: Report) -> None:
    try:
        read_secret(claim.subject)
    except SecretError as failure:
        report.error(claim.place, str(failure))
        return
    if warning := exposure(claim.subject):
        report.warn(claim.place, warning)


def _verify_user(claim: Claim, report: Report) -> None:
    try:
        account = find_account(claim.subject)
    except NoAccountError as failure:
        report.error(claim.place, str(failure))
        return
    if os.geteuid() not in (0, account.uid):
        report.warn(claim.place, f'only root can run a session as "{account.name}"')
