package kv

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
)

// RemoveGroup implements dedupe.GroupRemover: it purges the group's keys. It takes
// $JS.API.STREAM.PURGE.KV_<bucket>.
func (s *Store) RemoveGroup(ctx context.Context, group string) (removed int, err error) {
	part := string(appendPart(nil, group))
	for _, filter := range []string{kindEvent + ".*." + part + ".>", kindWatermark + "." + part + ".>"} {
		n, err := s.purgeKeys(ctx, filter)
		if err != nil {
			return removed, fmt.Errorf("remove group %q from dedupe bucket %q: %w", group, s.bucket, err)
		}
		removed += n
	}
	return removed, nil
}

func (s *Store) purgeKeys(ctx context.Context, filter string) (int, error) {
	ctx, cancel, err := s.beginCall(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	request, err := json.Marshal(map[string]string{"filter": s.kept + filter})
	if err != nil {
		return 0, err
	}
	var answer struct {
		apiAnswer

		Purged int `json:"purged"`
	}
	err = requestOne(ctx, s.requests, &nats.Msg{Subject: s.purge, Data: request}, "answer to a purge", &answer)
	return answer.Purged, err
}
