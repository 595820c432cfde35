# Sourced: join_layers FOLDER shows FOLDER/debian with FOLDER/docker over it as FOLDER/root, in this mount namespace.
join_layers() {
    mount --make-rprivate /
    mkdir -p "$1/docker" "$1/work" "$1/root"
    mount -t overlay overlay -o "lowerdir=$1/debian,upperdir=$1/docker,workdir=$1/work" "$1/root"
}
