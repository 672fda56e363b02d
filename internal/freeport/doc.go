// Package freeport finds a TCP port for a server that is started as a process of its own and has to be told its port
// beforehand.
//
// The port was free when it was looked for. Another process may take it before the server does: start again then,
// with another one.
package freeport
