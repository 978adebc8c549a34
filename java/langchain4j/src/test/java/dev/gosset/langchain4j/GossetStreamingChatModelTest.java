package dev.gosset.langchain4j;

import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.common.AbstractStreamingChatModelIT;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import java.util.List;

/** LangChain4j's own suite over a scripted model under the real engine. What is not supported has to be refused by its name. */
class GossetStreamingChatModelTest extends AbstractStreamingChatModelIT {
    private static GossetStreamingChatModel model() {
        return new GossetStreamingChatModel(Scripted.model());
    }

    @Override
    protected List<StreamingChatModel> models() {
        return List.of(model());
    }

    @Override
    protected StreamingChatModel createModelWith(ChatRequestParameters parameters) {
        return model().withParameters(parameters);
    }

    @Override
    public StreamingChatModel createModelWith(ChatModelListener listener) {
        return model().withListeners(List.of(listener));
    }

    @Override
    protected ChatRequestParameters createIntegrationSpecificParameters(int maxOutputTokens) {
        return ChatRequestParameters.builder().maxOutputTokens(maxOutputTokens).build();
    }

    @Override
    protected boolean supportsModelNameParameter() {
        return false;
    }

    @Override
    protected boolean supportsTools() {
        return false;
    }

    @Override
    protected boolean supportsToolChoiceRequired() {
        return false;
    }

    @Override
    protected boolean supportsJsonResponseFormat() {
        return false;
    }

    @Override
    protected boolean supportsJsonResponseFormatWithSchema() {
        return false;
    }

    @Override
    protected boolean supportsJsonResponseFormatWithRawSchema() {
        return false;
    }

    @Override
    protected boolean supportsSingleImageInputAsBase64EncodedString() {
        return false;
    }

    @Override
    protected boolean supportsMultipleImageInputsAsBase64EncodedStrings() {
        return false;
    }

    @Override
    protected boolean supportsSingleImageInputAsPublicURL() {
        return false;
    }

    @Override
    protected boolean supportsMultipleImageInputsAsPublicURLs() {
        return false;
    }

    /** The suite waits 30 s for what must not come; {@link EngineUseTest} cancels, too. */
    @Override
    protected boolean supportsStreamingCancellation() {
        return Boolean.getBoolean("gosset.patient");
    }
}
