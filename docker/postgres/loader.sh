#!/bin/sh
# Once, when the database of docker/compose.yml is new: who brings gold into it, and owns nothing else.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=password="$LOADER_PASSWORD" --dbname=postgres <<'SQL'
create role loader login createrole password :'password';
create database bi owner loader;
SQL
