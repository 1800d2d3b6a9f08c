#!/usr/bin/env bash
# Starts the SaaS API on SQLite. Mails are written to the console, unless RIMLOCK_MAIL_URL says where to.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ ! -x "$root/.venv/bin/rimlock" ] || export PATH="$root/.venv/bin:$PATH"   # what `make setup` installed
home=${LAUNCH_HOME:-$root/.rimlock/launch}
mkdir -p "$home" && cd "$home"
port=${PORT:-8000}
export PYTHONPATH="$here" DATABASE_URL="${DATABASE_URL:-sqlite:///launch.db}" RIMLOCK_ISSUER="http://localhost:$port"
export BACKEND_URL="${BACKEND_URL:-http://localhost:$port}" FRONTEND_URL="${FRONTEND_URL:-http://localhost:3000}"
(umask 077 && [ -s webhook-secret ] || python -c 'import secrets; print(secrets.token_urlsafe(32))' > webhook-secret)
LAUNCH_WEBHOOK_SECRET=$(cat webhook-secret) && export LAUNCH_WEBHOOK_SECRET
echo
echo "  the API             http://localhost:$port/docs"
echo "  an account          curl -H 'content-type: application/json' http://localhost:$port/auth/create-user \\"
echo "                        -d '{\"username\":\"ann\",\"email\":\"ann@example.com\",\"password\":\"a lantern over the estuary\"}'"
echo "  its mail            below, on this console"
echo
exec python -m uvicorn --factory launch.main:create_app --port "$port"
