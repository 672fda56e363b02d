package history

import (
	"context"
	"database/sql"

	"matchday/id"
	"matchday/internal/mysqldb"
)

// maxAsked is how many players' digests that other processes want are taken at a time.
const maxAsked = 64

// askDigest asks the process that writes the shard for a player's digest. It needs no epoch: it says what somebody would
// like, and whoever writes the shard looks whether there is anything to make.
func (s *mysqlStore) askDigest(ctx context.Context, player id.Player) error {
	const q = `
		INSERT IGNORE INTO digest_ask (player_id)
		VALUES (?)`
	return s.on(ctx, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, q, string(player))
		return mysqldb.Wrap("ask for a digest", err)
	})
}

// takeAsked returns players whose digests other processes want, and forgets that they do: a digest that is not made is
// wanted again by who reads next.
func (s *mysqlStore) takeAsked(ctx context.Context) (list []id.Player, err error) {
	const (
		read = `
			SELECT player_id
			FROM digest_ask
			LIMIT ?`
		forget = `
			DELETE FROM digest_ask
			WHERE player_id = ?`
	)
	rows, err := s.QueryContext(ctx, read, maxAsked)
	if err != nil {
		return nil, mysqldb.Wrap("read which digests are wanted", err)
	}
	defer rows.Close()
	for rows.Next() {
		var player id.Player
		if err := rows.Scan(&player); err != nil {
			return nil, mysqldb.Wrap("read which digests are wanted", err)
		}
		list = append(list, player)
	}
	if err := rows.Err(); err != nil || len(list) == 0 {
		return nil, mysqldb.Wrap("read which digests are wanted", err)
	}
	return list, s.on(ctx, func(conn *sql.Conn) error {
		for _, player := range list {
			if _, err := conn.ExecContext(ctx, forget, string(player)); err != nil {
				return mysqldb.Wrap("forget which digests are wanted", err)
			}
		}
		return nil
	})
}
