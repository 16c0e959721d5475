//! Whether a tokenizer is one that [`super::bert`] can stand in for.

use tokenizers::{
    ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
};

use super::added_tokens::AddedTokens;
use super::bert::Bert;
use super::word_piece::{WordPiece, WordPieceSettings};

/// The same tokenizer in one pass, if every part of it is of the kind that this is proven for.
///
/// # Errors
/// The part that is not, for people.
pub(super) fn recognize(tokenizer: &Tokenizer) -> Result<Bert, String> {
    let ModelWrapper::WordPiece(model) = tokenizer.get_model() else {
        return Err("its model is not WordPiece".to_owned());
    };
    let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() else {
        return Err("its normaliser is not BERT's".to_owned());
    };
    let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = tokenizer.get_pre_tokenizer() else {
        return Err("its pre-tokenizer is not BERT's".to_owned());
    };
    match tokenizer.get_post_processor() {
        None | Some(PostProcessorWrapper::Bert(_) | PostProcessorWrapper::Template(_)) => {}
        Some(PostProcessorWrapper::Roberta(roberta)) if !roberta.trim_offsets => {}
        Some(_) => return Err("its post-processor may change offsets".to_owned()),
    }
    let added = tokenizer.get_added_tokens_decoder();
    let added_tokens = AddedTokens::new(added.into_iter())?;

    let vocabulary = tokenizer.get_vocab(false);
    let Some(&unknown) = vocabulary.get(&model.unk_token) else {
        return Err(format!("its unknown token {:?} is not in its vocabulary", model.unk_token));
    };
    let entries: Vec<(&str, u32)> =
        vocabulary.iter().map(|(entry, id)| (entry.as_str(), *id)).collect();
    let settings = WordPieceSettings {
        continuation_prefix: &model.continuing_subword_prefix,
        unknown,
        longest_word: model.max_input_chars_per_word,
    };
    Ok(Bert::new(added_tokens, *normalizer, WordPiece::new(&entries, &settings)))
}
