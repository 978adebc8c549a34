/**
 * A model over HTTP, as OpenAI's and Ollama's clients ask for one. {@link dev.gosset.server.GossetServer} is the door.
 */
module dev.gosset.server {
    requires transitive dev.gosset.llm;
    requires com.fasterxml.jackson.databind;
    requires jdk.httpserver;

    exports dev.gosset.server;
}
