#!/usr/bin/env bash
# The whole way, by curl: a live app is fitted, turned, turned back and unfitted. Stops at the first wrong answer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ ! -x "$root/.venv/bin/rimlock" ] || export PATH="$root/.venv/bin:$PATH"   # what `make setup` installed
work=$(mktemp -d) && cd "$work"
export PYTHONPATH="$here" LAB_DATABASE_URL="sqlite:///lab.db" DATABASE_URL="sqlite:///lab.db"
export RIMLOCK_CONFIG="$here/rimlock.toml" LAB_API_KEY="old-laboratory-key-that-everybody-holds"
free_port() { python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
one=$(free_port) two=$(free_port)
export RIMLOCK_ISSUER="http://localhost:$one"
servers=()
stop() { for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; for pid in "${servers[@]}"; do wait "$pid" 2>/dev/null || true; done; servers=(); }
trap 'stop; rm -rf "$work"' EXIT

start() { # module port
  python -m uvicorn "$1" --port "$2" --log-level warning & servers+=($!)
  for _ in $(seq 150); do curl -fso /dev/null "localhost:$2/health" && return; sleep 0.1; done
  echo "WRONG  $1 did not come up" >&2; exit 1
}
step() { echo; echo "— $*"; }
ask() { # expected status, then curl's arguments; the body lands in ./body
  local expected=$1; shift
  local got; got=$(curl -sS -o body -w '%{http_code}' "$@")
  [ "$got" = "$expected" ] || { echo "WRONG  $got instead of $expected: curl $*" >&2; cat body >&2; exit 1; }
  echo "  $got  ${*: -1}"
}
field() { python -c 'import json, sys; print(json.load(open("body"))[sys.argv[1]])' "$1"; }
same() { [ "$1" = "$2" ] || { echo "WRONG  $3" >&2; exit 1; }; echo "  ok   $3"; }
json=(-H 'content-type: application/json')
old=(-H "X-API-Key: $LAB_API_KEY")
analysis='{"sample":"WALK-1","instrument_id":1,"method":"nitrate","result":10.0,"recorded_at":"2026-03-02T09:30:00Z"}'
password='a lantern over the quiet estuary'

step "the app as it was, with data"
python -m lab.seed --count 2000 --database "$LAB_DATABASE_URL" >/dev/null
start lab.main:app "$one"
ask 200 "localhost:$one/analyses?limit=1"; total=$(field total)
ask 401 "localhost:$one/explorer/summary"
ask 200 "${old[@]}" "localhost:$one/explorer/summary"
stop

step "fitted: migrate up, start two workers"
rimlock db upgrade
start lab.fitted:app "$one"; start lab.fitted:app "$two"

step "the old key works as before, and so does nobody"
ask 200 "localhost:$one/analyses?limit=1"; same "$(field total)" "$total" "every analysis is there"
ask 200 "${old[@]}" "localhost:$one/explorer/summary"
ask 401 "localhost:$one/explorer/summary"
ask 201 "${old[@]}" "${json[@]}" -d "$analysis" "localhost:$one/analyses"

step "register, log in"
ask 201 "${json[@]}" -d "{\"email\":\"ann@example.com\",\"username\":\"ann\",\"password\":\"$password\"}" "localhost:$one/auth/register"
ask 401 "${json[@]}" -d '{"login":"ann","password":"not the right one at all"}' "localhost:$one/auth/login"
ask 200 "${json[@]}" -d "{\"login\":\"ann\",\"password\":\"$password\"}" "localhost:$one/auth/login"
first=$(field access_token)

step "a role is granted; it counts at once, also for the other worker"
ask 401 -H "Authorization: Bearer $first" "${json[@]}" -d "$analysis" "localhost:$one/analyses"
rimlock role set ann analyst
ask 200 "${json[@]}" -d "{\"login\":\"ann\",\"password\":\"$password\"}" "localhost:$two/auth/login"
access=$(field access_token) refresh=$(field refresh_token)
token=(-H "Authorization: Bearer $access")

step "the same route by token"
ask 201 "${token[@]}" "${json[@]}" -d "$analysis" "localhost:$one/analyses"
ask 200 "${token[@]}" "localhost:$two/explorer/summary"
ask 200 "${token[@]}" "localhost:$one/auth/me"; same "$(field username)" ann "it is ann"

step "observe: nobody is refused, and who would be is named"
ask 200 "localhost:$one/analyses"
sleep 1.5
rimlock rollout observed --json > observed
python - <<'PY'
import json
rows = json.load(open("observed"))["items"]
assert any(row["route"] == "GET /analyses" and row["credential"] == "none" for row in rows), rows
PY
echo "  ok   anonymous callers of GET /analyses are named"

step "turn the route to required: anonymous 401, key 200, token 200"
rimlock rollout set "GET /analyses" required --app lab.fitted:app
sleep 1
for port in "$one" "$two"; do
  ask 401 "localhost:$port/analyses"
  ask 200 "${old[@]}" "localhost:$port/analyses"
  ask 200 "${token[@]}" "localhost:$port/analyses"
done
ask 200 "localhost:$one/analyses/1"

step "two refreshes at once give equal answers"
body="{\"refresh_token\":\"$refresh\"}"
curl -sS "${json[@]}" -d "$body" "localhost:$one/auth/refresh" > left & left=$!
curl -sS "${json[@]}" -d "$body" "localhost:$two/auth/refresh" > right & right=$!
wait "$left" "$right"
cp left body; successor=$(field refresh_token); cp right body
same "$(field refresh_token)" "$successor" "both got the same successor"
access=$(field access_token); token=(-H "Authorization: Bearer $access")
ask 200 "${token[@]}" "localhost:$two/analyses"

step "log out: another worker refuses the token within a second"
ask 204 "${token[@]}" -X POST "localhost:$one/auth/logout"
sleep 1
ask 401 "${token[@]}" "localhost:$two/analyses"
ask 401 "${json[@]}" -d "{\"refresh_token\":\"$successor\"}" "localhost:$two/auth/refresh"

step "roll the stage back"
rimlock rollout back
sleep 1
ask 200 "localhost:$one/analyses"
ask 200 "localhost:$two/analyses"
stop

step "migrate down: the old app runs on the same database"
rimlock db downgrade base --yes
python - <<'PY'
import sqlite3
names = {row[0] for row in sqlite3.connect("lab.db").execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
assert not [name for name in names if name.startswith("auth_")], names
PY
start lab.main:app "$one"
ask 200 "localhost:$one/analyses?limit=1"; same "$(field total)" "$((total + 2))" "every analysis is there, and the two of this walk"
ask 200 "${old[@]}" "localhost:$one/explorer/summary"

echo; echo "All answers were right."
