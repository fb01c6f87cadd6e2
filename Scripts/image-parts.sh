# What make-image and make-image-set share; sourced by them, never run.
#
# Both work below .demo/: `base/` keeps the layers that every image has, `work.*` is what is under way (removed at the end, or by
# the next run if this one is killed), and a result appears under its own name only when it is whole.

suite=bookworm
python=3.11
site=usr/local/lib/python$python/dist-packages

say() { echo "${0##*/}: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# Chroots need root, and mounts made below this point must end with it.
become_root() { # SCRIPT ARGUMENT...
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "needs root or sudo, to unpack Debian as Debian does"
        exec sudo --preserve-env "$@"
    fi
    if [ -z "${LAYERCACHE_IMAGE_NAMESPACE:-}" ] && unshare --mount true 2>/dev/null; then
        LAYERCACHE_IMAGE_NAMESPACE=1 exec unshare --mount --propagation private "$@"
    fi
}

begin() {
    demo=$PWD/.demo
    mkdir -p "$demo"
    exec 9>"$demo/lock"
    flock 9
    rm -rf --one-file-system "$demo"/work.*
    work=$(mktemp -d "$demo/work.XXXXXX")
    chmod 755 "$work"
    trap 'rm -rf --one-file-system "$work"; [ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$demo"' EXIT
    trap 'exit 130' INT TERM
}

# Runs a command quietly; if it fails, its last line of output becomes the reason.
attempt() {
    "$@" >"$work/log" 2>&1 </dev/null && return
    reason=$(grep -v '^ *$' "$work/log" | tail -n 1)
    return 1
}

# The first Debian mirror that this machine's own apt uses.
mirror() {
    local found
    found=$(grep -rhoE '^[^#]*https?://[^] ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
        /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -oE 'https?://[^ ]+' | head -n 1) || true
    echo "${found:-http://deb.debian.org/debian}"
}

# tar as image builders write it: sorted, numeric owners.
pack() { # DIR OUT [TAR OPTIONS]
    local dir=$1 out=$2
    shift 2
    tar --create --file "$out" --directory "$dir" --sort=name --numeric-owner --xattrs --xattrs-include='*' "$@"
}

# .demo/base/{base,python}.tar: Debian minbase, and what installing Python on it adds. Kept for every later image.
make_base() {
    [ ! -d "$demo/base" ] || return 0
    local root=$work/root debs=$work/debs mirror
    mirror=$(mirror)
    mkdir -p "$work/cache" "$work/base"
    say "assembling Debian $suite"
    attempt debootstrap --variant=minbase --cache-dir="$work/cache" "$suite" "$root" "$mirror" || return 1
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
    pack "$root" "$work/base/base.tar" --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' .

    say "adding Python $python"
    attempt debootstrap --variant=minbase --include=python3 --download-only --cache-dir="$work/cache" \
        "$suite" "$debs" "$mirror" || return 1
    mkdir "$root/debs"
    local deb
    for deb in "$debs"/var/cache/apt/archives/*.deb; do
        chroot "$root" dpkg-query --show "$(basename "${deb%%_*}")" >/dev/null 2>&1 || cp "$deb" "$root/debs/"
    done
    touch "$work/stamp"
    # All at once, so that their order among themselves does not matter.
    attempt chroot "$root" env DEBIAN_FRONTEND=noninteractive \
        sh -c 'dpkg --unpack --force-depends /debs/*.deb && dpkg --configure --pending' || return 1
    rm -r "$root/debs" "$root"/var/log/*.log
    (cd "$root" && find . -xdev -cnewer "$work/stamp" ! -type d -print0 | LC_ALL=C sort -z) >"$work/list"
    pack "$root" "$work/base/python.tar" --null --no-recursion --verbatim-files-from --files-from "$work/list"
    rm -rf --one-file-system "$debs" "$work/cache"
    mv "$work/base" "$demo/base"
}

# A root with base and Python in it, to install into.
make_root() {
    [ ! -d "$work/root" ] || return 0
    mkdir "$work/root"
    tar --extract --file "$demo/base/base.tar" --directory "$work/root" --numeric-owner --xattrs --xattrs-include='*'
    tar --extract --file "$demo/base/python.tar" --directory "$work/root" --numeric-owner --xattrs --xattrs-include='*'
}

# PyPI packages in the root, compiled by the image's own Python: pip_install REQUIREMENT...
pip_install() {
    root=$work/root
    make_root
    rm -rf "${root:?}/$site"
    mkdir -p "$root/$site"
    attempt python3 -m pip install --quiet --no-input --no-compile --only-binary :all: --root-user-action=ignore \
        --python-version "$python" --implementation cp --target "$root/$site" "$@" || return 1
    attempt chroot "$root" python3 -m compileall -q "/$site" || true # some packages carry files for other Pythons
}

# One layer of PyPI packages: pip_layer OUT.tar REQUIREMENT...
pip_layer() {
    local out=$1
    shift
    pip_install "$@" || return 1
    pack "$root" "$out" "./$site"
}

# Puts tars into an OCI layout as the layers of one image: oci_image LAYOUT TAG [--from TAG] TAR...
oci_image() {
    local layout=$1 tag=$2 tar
    shift 2
    [ -e "$layout/oci-layout" ] || umoci init --layout "$layout"
    if [ "$1" = --from ]; then
        umoci tag --image "$layout:$2" "$tag"
        shift 2
    else
        umoci new --image "$layout:$tag"
    fi
    for tar in "$@"; do
        attempt umoci raw add-layer --image "$layout:$tag" --history.created_by "${tar##*/}" "$tar" ||
            die "umoci cannot add ${tar##*/}: $reason"
    done
    umoci config --image "$layout:$tag" --config.cmd python3 --config.env PYTHONUNBUFFERED=1
    umoci gc --layout "$layout" >/dev/null
}
