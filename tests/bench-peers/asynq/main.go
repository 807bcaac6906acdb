// asynq: bench REDIS_PORT TASKS CONCURRENCY ROUND_TRIPS; prints one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

const payload = `{"query":"How do I reset the device to its factory settings?","brand":"acme"}`

// Tasks that are submitted at once: asynq has no call for many.
const publishers = 64

func main() {
	var arguments [4]int
	for n := range arguments {
		arguments[n], _ = strconv.Atoi(os.Args[n+1])
	}
	tasks, concurrency, roundTrips := arguments[1], arguments[2], arguments[3]
	redis := asynq.RedisClientOpt{Addr: fmt.Sprintf("127.0.0.1:%d", arguments[0]), PoolSize: concurrency + publishers}
	client, inspector := asynq.NewClient(redis), asynq.NewInspector(redis)
	server := asynq.NewServer(redis, asynq.Config{
		Concurrency: concurrency,
		LogLevel:    asynq.ErrorLevel,
		// How soon an idle worker looks again; a second, unless told otherwise.
		TaskCheckInterval: time.Millisecond,
	})
	// A result is stored, and kept with its task.
	handler := func(_ context.Context, task *asynq.Task) error {
		_, err := task.ResultWriter().Write([]byte("null"))
		return err
	}
	check(server.Start(asynq.HandlerFunc(handler)))
	submit := func() *asynq.TaskInfo {
		info, err := client.Enqueue(asynq.NewTask("task", []byte(payload)), asynq.Retention(time.Hour))
		check(err)
		return info
	}

	began := time.Now()
	var submitting sync.WaitGroup
	for publisher := range publishers {
		submitting.Go(func() {
			for n := publisher; n < tasks; n += publishers {
				submit()
			}
		})
	}
	submitting.Wait()
	for {
		queue, err := inspector.GetQueueInfo("default")
		check(err)
		if queue.Completed >= tasks {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	seconds := time.Since(began).Seconds()

	// Nobody is told of an outcome: it is asked for.
	trips := make([]float64, roundTrips)
	for n := range trips {
		sent := time.Now()
		id := submit().ID
		for {
			info, err := inspector.GetTaskInfo("default", id)
			check(err)
			if info.State == asynq.TaskStateCompleted {
				break
			}
			time.Sleep(200 * time.Microsecond)
		}
		trips[n] = float64(time.Since(sent).Microseconds()) / 1e3
	}
	sort.Float64s(trips)
	at := func(q float64) float64 { return trips[min(len(trips)-1, int(q*float64(len(trips))))] }
	figures := map[string]float64{"tasks_per_second": float64(tasks) / seconds, "p50_ms": at(0.5), "p99_ms": at(0.99)}
	check(json.NewEncoder(os.Stdout).Encode(figures))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
