# A role and a database for each user, by its secret; PostgreSQL's image runs this once, on an empty volume.
for name in inbox oncall registry; do
  psql --username postgres --dbname postgres --set ON_ERROR_STOP=1 --quiet \
    --set name="$name" --set password="$(cat "/run/secrets/${name}_password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
