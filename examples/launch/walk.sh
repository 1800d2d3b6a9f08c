#!/usr/bin/env bash
# The whole way, by curl: an account, its mail, tokens, a plan, a new password, and Google. Stops at the first wrong answer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ ! -x "$root/.venv/bin/rimlock" ] || export PATH="$root/.venv/bin:$PATH"   # what `make setup` installed
work=$(mktemp -d) && cd "$work"
free_port() { python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port) smtp=$(free_port) google=$(free_port)
api="http://localhost:$port" pages="http://localhost:3000"
started=()
stop() { for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done; for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done; }
trap 'stop; rm -rf "$work"' EXIT

wrong() { echo "WRONG  $*" >&2; [ ! -s server.log ] || tail -5 server.log >&2; exit 1; }
until_up() { for _ in $(seq 200); do curl -fso /dev/null "$1" && return; sleep 0.1; done; wrong "$1 did not come up"; }
step() { echo; echo "— $*"; }
same() { [ "$1" = "$2" ] || wrong "$3: $1 instead of $2"; echo "  ok   $3"; }
ask() { # expected status, then curl's arguments; the body lands in ./body, the redirect in $to
  local expected=$1 got; shift
  got=$(curl -sS -o body -w '%{http_code} %{redirect_url}' -b "$jar" -c "$jar" "$@")
  to=${got#* }; got=${got%% *}
  [ "$got" = "$expected" ] || { cat body >&2; wrong "$got instead of $expected: curl $*"; }
  echo "  $got  ${*: -1}" | sed -E 's/((token|code|state)=)[^& ]+/\1…/g'
}
field() { python -c 'import json, sys; print(json.load(open("body"))[sys.argv[1]])' "$1"; }
mailed() { # the newest link with this path in a mail to this address
  python - "$1" "$2" <<'PY'
import email, email.policy, mailbox, re, sys, time
to, path = sys.argv[1:]
for _ in range(150):
    letters = sorted(mailbox.Maildir("mails", factory=None, create=False).items(), key=lambda one: one[1].get_date())
    found = [email.message_from_bytes(bytes(one), policy=email.policy.default) for _, one in letters]
    texts = [one.get_body(("plain",)).get_content() for one in found if to in one["To"]]
    links = [link for text in texts for link in re.findall(r"https?://\S+", text) if path in link]
    if links:
        print(links[-1])
        sys.exit()
    time.sleep(0.1)
sys.exit(f"no mail to {to} has a link with {path}")
PY
}
json=(-H 'content-type: application/json') jar=browser
password='a lantern over the quiet estuary' better='eleven grey herons at low tide'

step "a mail server, a provider in the place of Google, and the API"
mkdir -p mails/{cur,new,tmp}
python -m aiosmtpd -n -l "127.0.0.1:$smtp" -c aiosmtpd.handlers.Mailbox mails & started+=($!)
node_home="$root/.rimlock/node/$(sha256sum "$root/tests/node/package-lock.json" | cut -c1-12)"
if [ ! -e "$node_home/.ready" ]; then
  mkdir -p "$node_home" && cp "$root"/tests/node/{package.json,package-lock.json,openid.mjs} "$node_home"
  (cd "$node_home" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null && touch .ready)
fi
client="{\"client_id\":\"launch\",\"client_secret\":\"of-the-walk\",\"redirect_uris\":[\"$api/auth/oauth/callback/google\"]}"
(cd "$node_home" && exec node --no-warnings openid.mjs "$google" "$client") >provider.log 2>&1 & started+=($!)
export PYTHONPATH="$here" DATABASE_URL="sqlite:///launch.db" RIMLOCK_ISSUER="$api"
export BACKEND_URL="$api" FRONTEND_URL="$pages" RIMLOCK_MAIL_URL="smtp://127.0.0.1:$smtp" RIMLOCK_INSECURE_COOKIES=true
export GOOGLE_CLIENT_ID=launch GOOGLE_CLIENT_SECRET=of-the-walk GOOGLE_ISSUER="http://127.0.0.1:$google"
export LAUNCH_WEBHOOK_SECRET='what the payment provider and this API know'
python -m uvicorn --factory launch.main:create_app --port "$port" >server.log 2>&1 & started+=($!)
until_up "http://127.0.0.1:$google/.well-known/openid-configuration"
until_up "$api/health"

step "an account, and the link that was mailed"
new="{\"username\":\"john_doe\",\"email\":\"john@example.com\",\"password\":\"$password\"}"
ask 422 "${json[@]}" -d '{"username":"john_doe","email":"john@example.com","password":"password123"}' "$api/auth/create-user"
ask 201 "${json[@]}" -d "$new" "$api/auth/create-user"; same "$(field message)" "User created. Check your email to verify." "the documented sentence"
ask 400 "${json[@]}" -d "$new" "$api/auth/create-user"
ask 401 --data-urlencode username=john_doe --data-urlencode "password=$password" "$api/auth/token"; same "$(field detail)" "Verify your email first." "not before the address is proven"
link=$(mailed john@example.com /auth/verify-email)
ask 307 "$link"; same "$to" "$pages/login?detail=email_verified" "the page for a proven address"
ask 307 "$link"; same "$to" "$pages/login?detail=already_verified" "the page for one that was proven before"
ask 307 "$api/auth/verify-email?token=made-up"; same "$to" "$pages/login?detail=invalid_token" "the page for a link that is none"

step "sign in, see and change oneself, refresh"
ask 401 --data-urlencode username=john_doe -d password=wrong "$api/auth/token"; same "$(field detail)" "Invalid username or password." "the documented sentence"
ask 200 --data-urlencode username=john_doe --data-urlencode "password=$password" "$api/auth/token"
same "$(field token_type)" bearer "the documented type"
refresh=$(field refresh_token) token=(-H "Authorization: Bearer $(field access_token)")
ask 401 "$api/auth/get-user"
ask 200 "${token[@]}" "$api/auth/get-user"; john=$(field id)
same "$(field username) $(field is_verified) $(field is_oauth)" "john_doe True False" "it is John"
ask 200 -X PATCH "${token[@]}" "${json[@]}" -d '{"display_name":"John Doe","niche_preference":"boats"}' "$api/auth/update-user"
same "$(field niche_preference)" boats "the field of this application"
ask 400 -X PATCH "${token[@]}" "${json[@]}" -d '{"is_admin":true}' "$api/auth/update-user"; same "$(field detail)" "Cannot update 'is_admin'." "the documented sentence"
ask 200 "${json[@]}" -d "{\"refresh_token\":\"$refresh\"}" "$api/auth/refresh"
refresh=$(field refresh_token) token=(-H "Authorization: Bearer $(field access_token)")
ask 401 "${json[@]}" -d '{"refresh_token":"made-up"}' "$api/auth/refresh"

step "a plan, as the payment provider tells of it"
notice() { # moment, status
  printf '{"created":%s,"user_id":"%s","customer_id":"cus_1","subscription_id":"sub_1","plan_id":"pro","status":"%s"}' "$1" "$john" "$2" > notice
  signature=$(python -c 'import hmac, os, hashlib; print(hmac.new(os.environ["LAUNCH_WEBHOOK_SECRET"].encode(), open("notice", "rb").read(), hashlib.sha256).hexdigest())')
}
ask 402 "${token[@]}" "$api/insights"
notice 1000 active
ask 400 -H 'X-Signature: made-up' --data-binary @notice "$api/billing/webhook"
ask 200 -H "X-Signature: $signature" --data-binary @notice "$api/billing/webhook"
ask 200 "${token[@]}" "$api/insights"; same "$(field niche)" boats "what is paid for"
notice 3000 canceled; ask 200 -H "X-Signature: $signature" --data-binary @notice "$api/billing/webhook"
notice 2000 active; ask 200 -H "X-Signature: $signature" --data-binary @notice "$api/billing/webhook"
ask 402 "${token[@]}" "$api/insights"
ask 200 "${token[@]}" "$api/account/subscription"; same "$(field status)" canceled "a notice that came late changed nothing"

step "a forgotten password"
for who in nobody@example.com john@example.com; do
  ask 200 "${json[@]}" -d "{\"email\":\"$who\"}" "$api/auth/request-password-reset"; same "$(field detail)" "If the email exists, a reset link has been sent." "the same for everybody"
done
link=$(mailed john@example.com /reset-password); same "${link%%\?*}" "$pages/reset-password" "the page of the front end"
body="{\"token\":\"${link#*token=}\",\"new_password\":\"$better\"}"
ask 200 "${json[@]}" -d "$body" "$api/auth/reset-password"; same "$(field detail)" "Password reset successful" "the documented sentence"
ask 400 "${json[@]}" -d "$body" "$api/auth/reset-password"
ask 401 "${token[@]}" "$api/auth/get-user"
ask 401 "${json[@]}" -d "{\"refresh_token\":\"$refresh\"}" "$api/auth/refresh"
ask 401 --data-urlencode username=john_doe --data-urlencode "password=$password" "$api/auth/token"
ask 200 --data-urlencode username=john_doe --data-urlencode "password=$better" "$api/auth/token"

step "Google, which stands on this machine by configuration alone"
ask 404 "$api/auth/oauth/nope"; same "$(field detail)" "OAuth provider 'nope' not supported" "the documented sentence"
ask 503 "$api/auth/oauth/github"; same "$(field detail)" "OAuth provider 'github' not configured" "the documented sentence"
ask 401 "$api/auth/oauth/callback/google?code=made-up"; same "$(field detail)" "Could not validate credentials" "an answer nobody asked for"
through() { # a person at the provider's pages: sign in there, agree, come back
  local url=$1 action prompt
  for _ in $(seq 12); do
    got=$(curl -sS -o body -w '%{http_code} %{redirect_url}' -b "$jar" -c "$jar" "$url"); to=${got#* }
    while [ -n "$to" ]; do
      case $to in "$api"/*) return ;; esac
      got=$(curl -sS -o body -w '%{http_code} %{redirect_url}' -b "$jar" -c "$jar" "$to"); to=${got#* }
    done
    action=$(python -c 'import re; print(re.findall(r"action=\"([^\"]+)\"", open("body").read())[0])')
    prompt=$(python -c 'import re; print(re.findall(r"name=\"prompt\" value=\"(\w+)\"", open("body").read())[0])')
    got=$(curl -sS -o body -w '%{http_code} %{redirect_url}' -b "$jar" -c "$jar" --data-urlencode "login=$2" -d "prompt=$prompt" -d password=any "$action")
    to=${got#* }; url=$to
    case $to in "$api"/*) return ;; esac
  done
  wrong "the provider never sent the browser back"
}
ask 302 "$api/auth/oauth/google"
through "$to" jane@example.com
ask 307 "$to"; same "${to%%\?*}" "$pages/auth" "the page of the front end"
case $to in *access_token*) wrong "a token stands in the address" ;; *\?code=*) echo "  ok   a code for one use, and no token, stands in the address" ;; *) wrong "$to" ;; esac
code="{\"code\":\"${to#*code=}\"}"
jar=another-browser; ask 400 "${json[@]}" -d "$code" "$api/auth/oauth/exchange"; jar=browser
ask 200 "${json[@]}" -d "$code" "$api/auth/oauth/exchange"
token=(-H "Authorization: Bearer $(field access_token)")
ask 200 "${token[@]}" "$api/auth/get-user"
same "$(field email) $(field is_verified) $(field is_oauth)" "jane@example.com True True" "it is Jane, whom the provider vouched for"
ask 400 "${json[@]}" -d "$code" "$api/auth/oauth/exchange"

step "nothing secret was written down"
if grep -Eq 'token=[A-Za-z0-9._-]{20,}|eyJ[A-Za-z0-9_-]{10,}|quiet estuary|grey herons' server.log; then wrong "a secret stands in the log"; fi
echo "  ok   no link, token or password stands in the server's log"

echo; echo "All answers were right."
