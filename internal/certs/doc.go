// Package certs secures connections with certificates from files: who vouches for the other side, and what
// this process shows of itself.
//
// Invariants: the files are read again for each new connection, so that certificates and authorities are
// replaced without a restart. Files that cannot be used, half-written ones for example, leave what was there
// before in force, with a warning. A server of Source.Server takes nobody whom the authority does not vouch for.
//
// Not guaranteed: that a connection ends when its certificate runs out or its authority is replaced; whoever
// keeps connections open for long has to end them. Lists of revoked certificates are not read: replace the
// authority instead.
package certs
