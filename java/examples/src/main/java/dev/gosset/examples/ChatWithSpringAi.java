package dev.gosset.examples;

import org.springframework.ai.chat.model.ChatModel;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Asks a model by way of Spring AI: {@code ChatWithSpringAi MODEL QUESTION}. */
@SpringBootApplication
public class ChatWithSpringAi {
    public static void main(String[] args) {
        try (var context = SpringApplication.run(ChatWithSpringAi.class, "--spring.ai.gosset.model=" + args[0])) {
            System.out.println(context.getBean(ChatModel.class).call(args[1]));
        }
    }
}
