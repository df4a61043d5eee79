"""What is added up of green actions, everywhere: amounts, reductions with their coverage, and points."""

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

POLLUTANTS = ("nox", "pm25", "voc", "so2", "co")

#: What is added up. ``<pollutant>_known`` counts the actions whose factor for it is known: unknown is not zero.
MEASURES = (
    "actions",
    "quantity_milli",
    "co2e_mg",
    "co2e_mid_mg",
    "co2e_high_mg",
    *(f"{pollutant}_ug" for pollutant in POLLUTANTS),
    *(f"{pollutant}_known" for pollutant in POLLUTANTS),
    "points",
)


class Measured(SQLModel):
    """The columns of `MEASURES`: milligrams of CO2e, micrograms of pollutants, thousandths of the unit of a kind."""

    actions: int = Field(default=0, sa_type=sa.BigInteger)
    quantity_milli: int = Field(default=0, sa_type=sa.BigInteger)
    co2e_mg: int = Field(default=0, sa_type=sa.BigInteger)
    co2e_mid_mg: int = Field(default=0, sa_type=sa.BigInteger)
    co2e_high_mg: int = Field(default=0, sa_type=sa.BigInteger)
    nox_ug: int = Field(default=0, sa_type=sa.BigInteger)
    pm25_ug: int = Field(default=0, sa_type=sa.BigInteger)
    voc_ug: int = Field(default=0, sa_type=sa.BigInteger)
    so2_ug: int = Field(default=0, sa_type=sa.BigInteger)
    co_ug: int = Field(default=0, sa_type=sa.BigInteger)
    nox_known: int = Field(default=0, sa_type=sa.BigInteger)
    pm25_known: int = Field(default=0, sa_type=sa.BigInteger)
    voc_known: int = Field(default=0, sa_type=sa.BigInteger)
    so2_known: int = Field(default=0, sa_type=sa.BigInteger)
    co_known: int = Field(default=0, sa_type=sa.BigInteger)
    points: int = Field(default=0, sa_type=sa.BigInteger)
