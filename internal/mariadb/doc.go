// Package mariadb runs throw-away MariaDB servers on loopback, for tests and benchmarks. It is no
// production code: a production server is installed and run by its operator.
//
// Every server has a folder of its own, copied from a template that is made once a process, listens
// on 127.0.0.1 and on a socket in its folder, and dies with the process that started it, however
// that ends. Folders of processes that are gone are removed by the next one that starts a server.
//
// # Not guaranteed
//
//   - That a port stays free between a kill and a restart: ports are taken from below the range the
//     system gives to outgoing connections, which makes a clash unlikely.
package mariadb
