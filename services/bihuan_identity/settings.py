"""What identity can be told by its environment, `BIHUAN_IDENTITY_*`."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from bihuan_identity.domain.graph import MAX_ITEM_IDENTIFIERS
from bihuan_identity.domain.keys import MAX_EPOCH as MAX_PEPPER_EPOCH
from bihuan_identity.domain.keys import Pepper, parse_peppers
from bihuan_identity.domain.partners import Partner, PartnerRegistry
from bihuan_identity.domain.pseudonyms import MAX_EPOCH, PseudonymKeys
from bihuan_identity.domain.receipts import ReceiptKeys
from bihuan_shared.settings import ServerSettings


class PartnerDeclaration(BaseModel):
    """One partner as the environment declares it; a misspelt field is an error, lest a revocation be one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
    may_receive_tokens: bool = False
    may_match: bool = False
    revoked: bool = False
    revoked_before_epoch: Annotated[int, Field(ge=0, le=MAX_EPOCH)] = 0


class Settings(ServerSettings):
    """Settings of identity; the shared ones included."""

    model_config = SettingsConfigDict(env_prefix="BIHUAN_IDENTITY_", hide_input_in_errors=True)

    peppers: SecretStr
    """
    `2:<base64>,1:<base64>`: what identifiers are hashed under, by epoch, 32 secret bytes each; the current epoch first,
    then at most one that is still read. Lost, or replaced in one step, nobody is recognised again.
    """
    pseudonym_keys: SecretStr
    """
    `2@2026-11-01T00:00:00Z:<base64>,1@…:<base64>`: master keys of partners' pseudonyms, 32 secret bytes each, by epoch
    and activation, newest first. A new one is listed before it activates; an old one until 90 days after that.
    """
    receipt_keys: SecretStr
    """`2:<base64>,1:<base64>`: Ed25519 seeds of receipts, 32 secret bytes each; the first signs, all verify."""
    partners: tuple[PartnerDeclaration, ...] = ()
    """The partners and what each may be given; JSON in the environment. What is not declared is refused."""
    match_max_identifiers: Annotated[int, Field(ge=1, le=100_000_000)] = 2_000_000
    """The most identifiers in one list of MatchIdentifiers; 8 to 16 bytes are held for each one that is known."""
    match_max_tokens: Annotated[int, Field(ge=0, le=500_000)] = 100_000
    """The most pseudonyms in one answer of MatchIdentifiers."""
    match_max_lists: Annotated[int, Field(ge=1, le=1_000)] = 4
    """How many lists are matched at once; more are refused with OVERLOADED."""
    max_cluster_size: Annotated[int, Field(ge=MAX_ITEM_IDENTIFIERS, le=10_000)] = 512
    """The most identifiers that one person may have; a link beyond it is refused."""
    index_timeout_ms: Annotated[int, Field(ge=1, le=10_000)] = 250
    """How long the Redis index may take before the database is asked in its place."""

    index_buckets: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    """Buckets of the Redis index in each of its 64 slots: one for every 4,096 identifiers keeps entries compact."""
    request_retention_s: Annotated[int, Field(ge=3_600)] = 90 * 86_400
    """How long a Link, Unlink or DeletePerson that is repeated under its request id is answered as the first time."""
    retire_before_epoch: Annotated[int, Field(ge=0, le=MAX_PEPPER_EPOCH)] = 0
    """
    Identifiers that were last seen under a pepper before this epoch are forgotten; 0 keeps them. It takes this word,
    because a list of peppers that lacks one by mistake must not erase anybody.
    """
    sweep_period_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 86_400
    """How long to wait between two rounds through all evidence for ties that have lapsed."""

    @model_validator(mode="after")
    def _what_can_be_found_is_not_retired(self) -> Self:
        if self.retire_before_epoch > min(pepper.epoch for pepper in self.pepper_epochs()):
            raise ValueError("retire_before_epoch must not be above the oldest pepper that is still read")
        return self

    @field_validator("peppers")
    @classmethod
    def _peppers_are_well_formed(cls, peppers: SecretStr) -> SecretStr:
        parse_peppers(peppers.get_secret_value())
        return peppers

    def pepper_epochs(self) -> tuple[Pepper, ...]:
        """Return the current pepper and, where it is still read, the previous one."""
        return parse_peppers(self.peppers.get_secret_value())

    @field_validator("pseudonym_keys")
    @classmethod
    def _pseudonym_keys_are_a_time_line(cls, keys: SecretStr) -> SecretStr:
        PseudonymKeys.parse(keys.get_secret_value())
        return keys

    @field_validator("receipt_keys")
    @classmethod
    def _receipt_keys_are_well_formed(cls, keys: SecretStr) -> SecretStr:
        ReceiptKeys.parse(keys.get_secret_value())
        return keys

    @field_validator("partners")
    @classmethod
    def _partners_differ(cls, partners: tuple[PartnerDeclaration, ...]) -> tuple[PartnerDeclaration, ...]:
        _registry(partners)
        return partners

    def pseudonym_ring(self) -> PseudonymKeys:
        """Return the master keys of pseudonyms."""
        return PseudonymKeys.parse(self.pseudonym_keys.get_secret_value())

    def receipt_ring(self) -> ReceiptKeys:
        """Return the keys that sign receipts."""
        return ReceiptKeys.parse(self.receipt_keys.get_secret_value())

    def partner_registry(self) -> PartnerRegistry:
        """Return the declared partners."""
        return _registry(self.partners)


def _registry(partners: tuple[PartnerDeclaration, ...]) -> PartnerRegistry:
    return PartnerRegistry(Partner(**declared.model_dump()) for declared in partners)
