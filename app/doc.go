// Package app is the one package that knows every room: it reads the configuration, wires the rooms
// together and starts and stops them in order.
//
// Config is the whole configuration, New wires, Run runs until its context is done. roles.go is the
// table of what runs where; `matchday roles` prints it.
package app
