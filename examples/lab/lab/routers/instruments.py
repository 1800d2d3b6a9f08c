"""Instruments: list, read, add; and the catalogue of methods."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends, HTTPException
from sqlalchemy.exc import IntegrityError

from lab import queries
from lab.catalogue import METHODS, Method
from lab.database import SessionDep
from lab.models import Instrument
from lab.schemas import InstrumentIn, InstrumentOut, MethodOut, RowId
from lab.security import require_api_key

router = APIRouter(prefix="/instruments", tags=["instruments"])
methods_router = APIRouter(tags=["instruments"])


@router.get("", response_model=list[InstrumentOut])
def list_instruments(session: SessionDep) -> Sequence[Instrument]:
    """List the instruments by name."""
    return queries.instruments(session)


@router.get("/{instrument_id}", response_model=InstrumentOut)
def read_instrument(instrument_id: RowId, session: SessionDep) -> Instrument:
    """Read one instrument."""
    return queries.existing_instrument(session, instrument_id)


@router.post("", status_code=201, response_model=InstrumentOut, dependencies=[Depends(require_api_key)])
def add_instrument(body: InstrumentIn, session: SessionDep) -> Instrument:
    """Add an instrument under a name that no other has."""
    instrument = Instrument(**body.model_dump())
    session.add(instrument)
    try:
        session.commit()
    except IntegrityError as error:
        raise HTTPException(409, f"There is already an instrument named {body.name}") from error
    return instrument


@methods_router.get("/methods", response_model=list[MethodOut])
async def list_methods() -> list[Method]:
    """List the methods the laboratory is accredited for."""
    return list(METHODS.values())
