#!/usr/bin/env bash
# Starts the fitted laboratory on SQLite: seeded, with its old key and a link for the first administrator.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ ! -x "$root/.venv/bin/rimlock" ] || export PATH="$root/.venv/bin:$PATH"   # what `make setup` installed
home=${LAB_HOME:-$root/.rimlock/lab}
mkdir -p "$home" && cd "$home"
export PYTHONPATH="$here" LAB_DATABASE_URL="sqlite:///lab.db" DATABASE_URL="sqlite:///lab.db"
export RIMLOCK_CONFIG="$here/rimlock.toml" RIMLOCK_ISSUER="http://localhost:${PORT:-8000}"
(umask 077 && [ -s old-key ] || python -c 'import secrets; print(secrets.token_urlsafe(32))' > old-key)
LAB_API_KEY=$(cat old-key) && export LAB_API_KEY
python -m lab.seed --count "${LAB_COUNT:-50000}" --database "$LAB_DATABASE_URL"
rimlock db upgrade
echo
echo "  the laboratory      http://localhost:${PORT:-8000}/          API: http://localhost:${PORT:-8000}/docs"
echo "  the old key         curl -H 'X-API-Key: $LAB_API_KEY' http://localhost:${PORT:-8000}/explorer/summary"
echo
exec rimlock serve lab.fitted:app --port "${PORT:-8000}" --workers "${WORKERS:-2}"
