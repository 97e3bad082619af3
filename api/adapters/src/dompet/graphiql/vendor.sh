#!/bin/sh
# Makes the files of others that the page is made of anew, out of the packages that they come in. Run it in this folder after a change of
# the versions here; what it makes is committed. It needs npm, tar and gzip.
set -eu
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
here=$PWD
cd "$scratch"
: > licences
for package in graphiql@3.9.0 react@18.3.1 react-dom@18.3.1; do
    archive=$(npm pack --silent "$package")
    mkdir "$package"
    tar -xzf "$archive" -C "$package" --strip-components=1
    printf '%s\n\n%s\n\n' "## $package" "$(cat "$package/LICENSE")" >> licences
done
compress() { gzip -9 --no-name --stdout "$1" > "$here/$2.gz"; }
compress graphiql@3.9.0/graphiql.min.js graphiql.js
compress graphiql@3.9.0/graphiql.min.css graphiql.css
compress react@18.3.1/umd/react.production.min.js react.js
compress react-dom@18.3.1/umd/react-dom.production.min.js react-dom.js
{ printf '# Licences of the files that end with .gz\n\n'; cat licences; } > "$here/LICENCES.md"
