#!/bin/sh
# The role that the service runs under. It owns nothing; `triage migrate --app-role triage_app` gives it its rights.
set -eu

psql --set=ON_ERROR_STOP=1 --no-psqlrc --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
    --set=password="$POSTGRES_APP_PASSWORD" <<'SQL'
CREATE ROLE triage_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
SQL
