import io.nats.client.Connection;
import io.nats.client.Message;
import io.nats.client.Nats;
import io.nats.client.Subscription;
import io.nats.client.support.JsonParser;
import io.nats.client.support.JsonValue;
import io.nats.client.support.JsonValueUtils;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.UUID;

/** Publishes a scraping task and waits for its outcome, then asks about what the fleet has read. */
public final class Example {
    /** mvn -q exec:java -Dexec.args=[URL], with the server's address in NATS_URL. */
    public static void main(String[] arguments) throws Exception {
        try (Connection nc = Nats.connect(System.getenv().getOrDefault("NATS_URL", "nats://127.0.0.1:4222"))) {
            JsonValue page = scrape(nc, arguments.length > 0 ? arguments[0] : "https://example.com/");
            System.out.println("title:  " + JsonValueUtils.readString(page, "title"));

            JsonValue answer = ask(nc, "How long does the warranty last?");
            System.out.println("answer: " + JsonValueUtils.readString(answer, "answer"));
            System.out.println("from:   " + JsonValueUtils.readStringList(answer, "sources"));
        }
    }

    /** Submits a task by a plain publish, and returns its result once that is there. */
    private static JsonValue scrape(Connection nc, String url) throws Exception {
        // With an id of our own we can listen before we publish, so that nothing is missed.
        String id = "example-" + UUID.randomUUID();
        Subscription records = nc.subscribe("outcomes.scraping." + id);
        // The PubAck means that the task is stored; from then on it ends in exactly one outcome.
        nc.jetStream().publish("tasks.scraping.normal." + id, ("{\"url\": \"" + url + "\"}").getBytes(StandardCharsets.UTF_8));
        for (Message message; (message = records.nextMessage(Duration.ofMinutes(1))) != null; ) {
            JsonValue record = JsonParser.parse(message.getData());
            switch (JsonValueUtils.readString(record, "status")) {
                case "completed": return JsonValueUtils.readValue(record, "result");
                case "failed", "cancelled", "expired": throw new IllegalStateException("there is no page: " + record.toJson());
                default: break; // it runs, or is tried again
            }
        }
        throw new IllegalStateException("there is no outcome after a minute");
    }

    /** One request, and the outcome is its reply. */
    private static JsonValue ask(Connection nc, String question) throws Exception {
        byte[] body = ("{\"query\": \"" + question + "\"}").getBytes(StandardCharsets.UTF_8);
        Message reply = nc.request("fleet.ask.query", body, Duration.ofSeconds(10));
        if (reply == null || reply.hasHeaders() && reply.getHeaders().containsKey("Nats-Service-Error")) {
            throw new IllegalStateException("the question was refused: " + (reply == null ? "nobody answers" : reply.getHeaders().getFirst("Nats-Service-Error")));
        }
        return JsonValueUtils.readValue(JsonParser.parse(reply.getData()), "result");
    }
}
