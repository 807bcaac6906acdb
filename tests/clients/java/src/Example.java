import io.nats.client.Connection;
import io.nats.client.Message;
import io.nats.client.Nats;
import io.nats.client.Subscription;
import io.nats.client.support.JsonParser;
import io.nats.client.support.JsonValue;
import io.nats.client.support.JsonValueUtils;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Set;
import java.util.UUID;

/** Publishes a scraping task and waits for its outcome, then asks about what the fleet has read. */
public final class Example {
    private static final Set<String> FAILED = Set.of("failed", "cancelled", "expired");

    /** mvn -q compile exec:java -Dexec.args=[URL], with the server's address in NATS_URL. */
    public static void main(String[] arguments) throws Exception {
        String url = arguments.length > 0 ? arguments[0] : "https://example.com/";
        try (Connection nc = Nats.connect(System.getenv().getOrDefault("NATS_URL", "nats://127.0.0.1:4222"))) {
            JsonValue page = run(nc, "scraping", "normal", "{\"url\": \"" + url + "\"}");
            System.out.println("title:  " + result(page, "title"));

            JsonValue answer = run(nc, "query", "critical", "{\"query\": \"How long does the warranty last?\"}");
            System.out.println("answer: " + result(answer, "answer"));
            System.out.println("from:   " + JsonValueUtils.readStringList(JsonValueUtils.readValue(answer, "result"), "sources"));
        }
    }

    /** Submits a task and returns its record once that is its outcome. */
    private static JsonValue run(Connection nc, String category, String priority, String payload) throws Exception {
        // With an id of our own we can listen before we publish, so that nothing is missed.
        String id = "example-" + UUID.randomUUID();
        Subscription records = nc.subscribe("outcomes." + category + "." + id);
        // The PubAck means that the task is stored; from then on it ends in exactly one outcome.
        nc.jetStream().publish("tasks." + category + "." + priority + "." + id, payload.getBytes(StandardCharsets.UTF_8));
        while (true) {
            Message message = records.nextMessage(Duration.ofMinutes(1));
            if (message == null) {
                throw new IllegalStateException("there is no outcome after a minute");
            }
            JsonValue record = JsonParser.parse(message.getData());
            String status = JsonValueUtils.readString(record, "status");
            if (FAILED.contains(status)) {
                throw new IllegalStateException("the task has " + status + ": " + record.toJson());
            }
            if (status.equals("completed")) {
                records.unsubscribe();
                return record;
            }
        }
    }

    private static String result(JsonValue record, String field) {
        return JsonValueUtils.readString(JsonValueUtils.readValue(record, "result"), field);
    }
}
