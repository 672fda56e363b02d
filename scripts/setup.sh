#!/usr/bin/env bash
# Installs what the tests need beyond Go, from Debian's packages: Chromium for the browser tests, MariaDB
# for those of the ledger on database clusters, and a C compiler, for SQLite and for Go's race detector. The
# server's core package starts no service. Does nothing where all are there already. Elsewhere than on Debian it says what to install.
set -euo pipefail

have() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1; }

packages=()
if ! have chromium; then
	packages+=(chromium fonts-dejavu-core)
fi
if ! have mariadbd || ! have mariadb-install-db || ! have my_print_defaults; then
	packages+=(mariadb-server-core mariadb-client-core) # the server's installer calls a program of the client's
fi
if ! have "${CC:-gcc}"; then
	packages+=(gcc libc6-dev)
fi
if [ ${#packages[@]} -eq 0 ]; then
	exit 0
fi
if ! have apt-get; then
	echo "setup: the tests need Chromium, mariadbd, mariadb-install-db and gcc on the PATH; install them with your system's packages" >&2
	exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
	if ! have sudo; then
		echo "setup: the tests need ${packages[*]}: install them as root" >&2
		exit 1
	fi
	sudo=(sudo)
fi

# apt runs apt-get, waiting for whoever else is installing, and again where a download fails.
apt() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq "$@" >/dev/null; }
install_packages() { apt update && apt install -y --no-install-recommends "${packages[@]}"; }

echo "setup: installing ${packages[*]} from Debian's packages"
for pause in 5 15 45; do
	if install_packages; then
		exit 0
	fi
	echo "setup: that failed; again in $pause s" >&2
	sleep "$pause"
done
install_packages
